"""``localbook train-parallel``: a network whose modules train in processes of their own."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from localbook import data as images
from localbook.arrays import Row
from localbook.data import Augment, DeviceImages
from localbook.errors import ConfigError
from localbook.files import write_text
from localbook.local import (
    SGR,
    ConvNet,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    Schedule,
    add_heads,
    cifar_resnet,
    parallel,
    split,
    with_dgl_heads,
)
from localbook.local.networks import copied
from localbook.threads import Threads

METHODS = ("local", "dgl", "sgr")


@dataclass(frozen=True)
class ParallelSetting:
    """One module-parallel training, of SGR with λ = ``weight``.

    The network is the CIFAR ResNet of a ``depth``; 0 for a small one with one convolution a module.
    """

    data: str
    depth: int
    schedule: Schedule
    weight: float

    def rule(self, method: str) -> Rule:
        """Return the rule of a method; DGL is plain local learning with other heads."""
        return SGR(self.weight, "squared") if method == "sgr" else PlainLocal()

    def cuts(self, modules: int, data: DeviceImages) -> tuple[str, ...]:
        """Return where the ResNet is cut, so that its modules take equally long here and now."""
        if self.depth == 0 or modules < 2:
            return ()
        return split(cifar_resnet(self.depth, seed=0), modules, self._few(data), by="time").cuts

    def network(
        self, method: str, modules: int, cuts: Sequence[str], data: DeviceImages
    ) -> IsolatedNetwork:
        """Return the network on the device of the data, the same in every process."""
        x, classes = self._few(data), int(data.labels.max()) + 1
        if self.depth == 0:
            widths = (16,) * (modules - modules // 2) + (32,) * (modules // 2)
            strides = tuple(1 + (a != b) for a, b in zip((16, *widths), widths, strict=False))
            net = ConvNet(widths, strides).build(x.shape[1], classes, 0).to(x.device)
        else:
            model = cifar_resnet(self.depth, classes, seed=0).to(x.device)
            parts = split(model, modules, x, at=cuts)
            net = add_heads(parts.modules, "linear", x, data.labels, seed=0)
        return with_dgl_heads(net, x, seed=0) if method == "dgl" else net

    def _few(self, data: DeviceImages) -> torch.Tensor:
        return data.at(slice(0, self.schedule.batch_size))[0]


_COLOUR = Augment(crop=4, flip=True)
PROFILES: Mapping[str, ParallelSetting] = {
    "quick": ParallelSetting("digits", 0, Schedule(epochs=5, batch_size=64, lr=0.05), 3.0),
    "cpu": ParallelSetting(
        "cifar10", 32, Schedule(epochs=10, batch_size=128, lr=0.2, augment=_COLOUR), 0.1
    ),
    "gpu": ParallelSetting(
        "cifar10", 110, Schedule(epochs=160, batch_size=256, lr=0.2, augment=_COLOUR), 0.1
    ),
}


def train_parallel(
    profile: str,
    method: str,
    modules: int,
    *,
    replicas: int = 1,
    data: str | None = None,
    seed: int = 0,
    out: Path,
    resume: bool = False,
    threads: int | None = None,
) -> list[Row]:
    """Train a profile's network, every module in a process; return its history.

    Under ``torchrun`` this is one of the processes, else it starts them. Checkpoints, the cuts and
    the history go to a folder below ``out``. Each process computes with ``threads`` or
    OMP_NUM_THREADS; else with one, or with its share of the cores where steps of the whole network
    show that it is faster. Under ``torchrun``, which sets OMP_NUM_THREADS, nothing is measured.

    Raises
    ------
    ConfigError
        On an unknown profile or method, fewer than two modules, processes that do not fit, or
        unfinished work without ``resume`` or with other ``threads``.
    TrainingError
        When a process dies or a loss is not a number.
    """
    if profile not in PROFILES:
        raise ConfigError(f"unknown profile {profile!r}; choose one of {', '.join(PROFILES)}.")
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; choose one of {', '.join(METHODS)}.")
    chosen, under_torchrun = PROFILES[profile], "WORLD_SIZE" in os.environ
    if profile == "gpu" and not (under_torchrun and torch.cuda.is_available()):
        raise ConfigError(
            "profile 'gpu' needs CUDA devices and `torchrun --nproc-per-node` with a process for "
            "each; use profile 'cpu' or 'quick'."
        )
    parallel.Seat(0, modules, replicas)  # refuses a single module
    folder = out / f"{profile}-{method}-{modules}-modules"
    device = "cuda" if profile == "gpu" else "cpu"
    joining = parallel.joined(modules, device=device) if under_torchrun else nullcontext()
    with joining as team:
        first = team is None or team.seat.rank == 0
        if first and not resume and folder.exists():
            raise ConfigError(
                f"{folder} holds an earlier run; add --resume to continue it, or delete it."
            )
        train, val = _sets(chosen.data if data is None else data, device)
        cuts = _cuts(folder, chosen, modules, train) if first else ()
        cuts = cuts if team is None else team.agreed(cuts)
        net = chosen.network(method, modules, cuts, train)
        options = parallel.Options(checkpoint=folder)
        rule, schedule = chosen.rule(method), chosen.schedule
        use = Threads.kept(folder, threads, modules * replicas)
        if team is None:
            few = train.at(slice(0, schedule.batch_size))
            use = use.measured(partial(rule.gradients, copied(net).train(), *few))
            use.keep(folder)
            trained = parallel.launch(
                net, rule, train, val, schedule, seed=seed, replicas=replicas, threads=use.now,
                options=options, on_epoch=_show,
            )  # fmt: skip
        else:
            torch.set_num_threads(use.now)
            trained = parallel.train(
                team, net, rule, train, val, schedule, seed=seed, options=options, on_epoch=_show
            )
    if first:
        write_text(folder / "history.json", json.dumps(trained.history, indent=1))
    return trained.history if first else []


def _cuts(
    folder: Path, chosen: ParallelSetting, modules: int, data: DeviceImages
) -> tuple[str, ...]:
    """Return where the network is cut; times differ from run to run, so the place is kept."""
    path = folder / "cuts.json"
    if path.exists():
        return tuple(json.loads(path.read_text(encoding="utf-8")))
    cuts = chosen.cuts(modules, data)
    write_text(path, json.dumps(cuts))
    return cuts


def _sets(name: str, device: str) -> tuple[DeviceImages, DeviceImages]:
    train = DeviceImages(images.load(name, "train"), device)
    return train, DeviceImages(images.load(name, "val"), device, train.stats)


def _show(row: Row) -> None:
    """Print an epoch of the last module, in whose process this runs."""
    print(
        f"epoch {row['epoch']}: loss {row['loss']:.3f}, validation accuracy {row['accuracy']:.3f}",
        flush=True,
    )
