"""Activating while pruning and its controls: an MLP, a ResNet and a transformer, cycle by cycle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook import neighbours
from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    seed_by_seed,
    tune,
)
from localbook.fit import accuracy, fit, mlp
from localbook.local import cifar_resnet, small_vit

ap = neighbours.activating_while_pruning
LATE = 3


@dataclass(frozen=True)
class Arm:
    """A host, and which share of what it prunes is left to which choice."""

    choice: str | None = None
    share: float = 0.1
    host: Callable[[nn.Module], list[Tensor]] = ap.magnitude


METHODS: Mapping[str, Arm] = {
    "lt": Arm(),
    **{name: Arm(name) for name in ap.CHOICES},
    "ap-half": Arm("ap", 0.5),
    "mirror-half": Arm("mirror", 0.5),
    "tropical": Arm(host=ap.tropical_costs),
    "tropical-ap": Arm("ap", host=ap.tropical_costs),
    "tropical-mirror": Arm("mirror", host=ap.tropical_costs),
}
"""Lottery tickets, the paper's method, its controls, more of both, and another host."""

ON_ALL = ("lt", "ap", "mirror")


@dataclass(frozen=True)
class Activating:
    """Iterative pruning at one profile.

    Attributes
    ----------
    network : str
        ``mlp``, 100 and 100 hidden neurons on pixels in [0, 1]; ``resnet``, of depth 8, on
        normalised images of half the side; ``vit``, two blocks of width 32 with ReLU.
    cycles : int
        Of pruning.
    p : float
        The share of the weights left that a cycle prunes.
    epochs, batch_size : int
        Of each training, by Adam.
    rates : tuple of float
        Candidates of the learning rate; every method chooses by the mean validation accuracy of the
        last half of the cycles.
    """

    network: Literal["mlp", "resnet", "vit"] = "mlp"
    data: str = "digits"
    seeds: int = 10
    methods: tuple[str, ...] = tuple(METHODS)
    cycles: int = 15
    p: float = 0.2
    epochs: int = 8
    batch_size: int = 64
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


def build(network: str, seed: int) -> nn.Module:
    """Return a network for ten classes."""
    if network == "mlp":
        return mlp((64, 100, 100, 10), seed)
    if network == "resnet":
        return cifar_resnet(8, seed=seed)
    net = small_vit(image=8, patch=2, width=32, depth=2, heads=2, seed=seed)
    for module in net.modules():
        for name, part in module.named_children():
            if isinstance(part, nn.GELU):
                setattr(module, name, nn.ReLU())
    return net


def tensors(network: str, sets: Mapping[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what a network sees of each split, and labels."""
    stats = sets["train"].channel_stats()
    found = {}
    for split, images in sets.items():
        x, y = DeviceImages(images, stats=stats).at(slice(None))
        if network == "mlp":
            x = torch.tensor(images.images).flatten(1) / 255
        elif network == "resnet":
            x = F.avg_pool2d(x, 2)
        else:
            x = x.expand(-1, 3, -1, -1)
        found[split] = x, y
    return found


def run(job: Job) -> Outcome:
    """Choose the rate on the validation split, then prune the network of every seed."""
    setting, arm = job.setting, METHODS[job.method]
    splits = tensors(setting.network, job.sets)

    def pruned(seed: int, split: str, lr: float) -> list[Row]:
        rows: list[Row] = []
        x, y = splits[split]

        def train(net: nn.Module, hold: Callable[[int], None]) -> None:
            rows.append({"dynamic_start": ap.dead_rates(net.eval(), x)["dynamic"]})
            fit(
                net, *splits["train"], epochs=setting.epochs, batch_size=setting.batch_size, lr=lr,
                seed=seed, after_step=hold,
            )  # fmt: skip

        net = build(setting.network, seed)
        how = {"cycles": setting.cycles, "p": setting.p, "q": arm.share * setting.p, "seed": seed}
        choice = ap.CHOICES[arm.choice] if arm.choice else None
        cycles = ap.activate_while_pruning(net, train, choice=choice, host=arm.host, **how)
        for number, masks in enumerate(cycles):
            left = sum(int(m.sum()) for m in masks) / sum(m.numel() for m in masks)
            row = {"left": left, f"{split}_accuracy": accuracy(net, x, y), **rows[-1]}
            row |= ap.dead_rates(net, x)
            rows[-1] = {"cycle": number} | {key: round(value, 5) for key, value in row.items()}
        return rows

    def judged(candidate: Row) -> float:
        rows = pruned(TUNING_SEED, "val", **candidate)
        return round(fmean(row["val_accuracy"] for row in rows[-setting.cycles // 2 :]), 5)

    chosen, tuning = tune(job, [{"lr": lr} for lr in setting.rates], judged)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        rows = pruned(seed, "test", **chosen)
        keys = ("test_accuracy", "dynamic", "dynamic_start", "static", "silent")
        late = {key: round(fmean(row[key] for row in rows[-LATE:]), 5) for key in keys}
        return late | {"left": rows[-1]["left"], "dense": rows[0]["test_accuracy"]}, rows

    parameters = sum(w.numel() for w in build(setting.network, 0).parameters())
    return seed_by_seed(job, measured, chosen, tuning, parameters)


_FEW: dict[str, Any] = {"seeds": 2, "cycles": 3, "p": 0.4, "epochs": 2, "rates": (0.003,)}
DIGITS = Experiment(
    {
        "quick": Activating(**_FEW, methods=("lt", "ap", "mirror")),
        "cpu": Activating(),
    },
    run,
    fewer_images,
)
RESNET = Experiment(
    {
        "quick": Activating("resnet", "shapes", methods=("lt",), images=(60, 30, 30), **_FEW),
        "cpu": Activating(
            "resnet", "cifar10", 10, ON_ALL, 5, 0.5, 8, 32, (0.003,), (1000, 500, 1000)
        ),
    },
    run,
    fewer_images,
)
VIT = Experiment(
    {
        "quick": Activating("vit", methods=("lt",), images=(120, 60, 60), **_FEW),
        "cpu": Activating("vit", "digits", 10, ON_ALL, 5, 0.5, 8, 32, (0.003,), (800, None, None)),
    },
    run,
    fewer_images,
)
