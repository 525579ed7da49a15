"""Tropical pruning against others at equal compression, with and without tuning afterwards."""

import copy
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    fewer_images,
    rows_once,
    tensors_once,
    tune,
)
from localbook.experiments.pruning.methods import METHODS, SCALED, Masks, Trained, zeroing
from localbook.experiments.pruning.networks import (
    digest,
    linear_layers,
    measure,
    samples,
)
from localbook.fit import fit, mlp
from localbook.progress import Progress


@dataclass(frozen=True)
class PruningSetting:
    """One comparison of prunings, at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    images : tuple of int or None
        At most how many of train, val and test are used, drawn evenly by class; None for all.
    body : str
        Whose features the network is given: "alexnet", "vgg16", or "" for the pixels.
    body_epochs : int
    hidden : tuple of int
        The widths of the fully connected hidden layers.
    batches, batch_size, lr
        How the dense network is trained, by Adam.
    modes : tuple of str
        What is tuned after pruning: "none", "bias" (the biases), "full" (all that is left).
    tuning_batches : int
        For how long.
    rates : tuple of float
        Learning rates tried for each mode but "none", the same for every method.
    exponents : tuple of float
        Tried by the methods that have one, in the first mode, which should tune nothing; the other
        modes keep what was chosen.
    compressions : tuple of float
    judged_at : float
        The compression at which candidates are judged, on the validation split.
    methods : tuple of str
    seeds : int
    """

    data: str
    images: tuple[int | None, int | None, int | None]
    body: str
    body_epochs: int
    hidden: tuple[int, ...]
    batches: int
    batch_size: int
    lr: float
    modes: tuple[str, ...]
    tuning_batches: int
    rates: tuple[float, ...]
    exponents: tuple[float, ...]
    compressions: tuple[float, ...]
    judged_at: float
    methods: tuple[str, ...]
    seeds: int

    def tried(self, mode: str, exponents: tuple[float, ...]) -> list[Row]:
        """Return the candidates in a mode, for the exponents that are left to it."""
        rates = self.rates if mode != "none" else (0.0,)
        return [{"exponent": e, "lr": lr} for e in exponents for lr in rates]


@dataclass(frozen=True)
class _Bench:
    """A job with its samples and the folder of what all methods share."""

    job: Job
    splits: dict[str, Samples]
    shared: Path
    last: dict[tuple[object, ...], tuple[Masks, float]]  # the latest masks, for the next mode

    def dense(self, seed: int) -> nn.Sequential:
        """Return the trained dense network of a seed: the same for all methods, trained once."""
        setting = self.job.setting
        train = self.splits["train"]
        inputs, classes = train.x.shape[1], int(train.y.max()) + 1
        net = mlp((inputs, *setting.hidden, classes), seed).to(self.job.device)
        made_by = (setting.body, setting.body_epochs, setting.hidden, setting.batches)
        name = digest(_sources(self.job), made_by, setting.batch_size, setting.lr, seed)
        path = self.shared / f"dense-{name}.pt"

        def trained() -> dict[str, Tensor]:
            with Progress(f"dense network, seed {seed}", setting.batches, "batch") as bar:
                fit(
                    net,
                    train.x,
                    train.y,
                    steps=setting.batches,
                    batch_size=setting.batch_size,
                    lr=setting.lr,
                    seed=seed,
                    after_step=bar.at,
                )
            return net.state_dict()

        net.load_state_dict(tensors_once(path, self.job.device, trained))
        return net

    def pruned(
        self, dense: nn.Sequential, mode: str, candidate: Row, compression: float, seed: int
    ) -> tuple[nn.Sequential, Row]:
        """Prune a copy of the dense network and tune it; return it with what it cost."""
        setting = self.job.setting
        key = (seed, candidate["exponent"], compression)
        if key not in self.last:
            start = time.perf_counter()
            trained = Trained(dense, self.splits["train"], candidate["exponent"])
            masks = METHODS[self.job.method](trained, compression)
            self.last.clear()
            self.last[key] = masks, time.perf_counter() - start
        masks, pruning_s = self.last[key]
        start = time.perf_counter()
        net = copy.deepcopy(dense)
        zero = zeroing(net, masks)
        zero(0)
        layers = linear_layers(net)
        tuned = {"none": [], "bias": [layer.bias for layer in layers]}.get(
            mode, list(net.parameters())
        )
        if tuned:
            fit(
                net,
                self.splits["train"].x,
                self.splits["train"].y,
                steps=setting.tuning_batches,
                batch_size=setting.batch_size,
                lr=candidate["lr"],
                seed=seed,
                parameters=tuned,
                after_step=zero,
            )
        nonzero = sum(int(m.sum()) for part in masks for m in part)
        tuning_s = time.perf_counter() - start
        return net, {"nonzero": nonzero, "pruning_s": pruning_s, "tuning_s": tuning_s}


def run(job: Job) -> Outcome:
    """Choose each mode's candidate, then prune the dense network of every seed."""
    setting: PruningSetting = job.setting
    train = DeviceImages(job.sets["train"], job.device)
    images = {"train": train} | {
        split: DeviceImages(job.sets[split], job.device, train.stats) for split in ("val", "test")
    }
    shared = job.partial.parent / "shared"
    features = digest(_sources(job), setting.body, setting.body_epochs)
    splits = samples(images, setting.body, setting.body_epochs, shared / f"body-{features}.pt")
    bench = _Bench(job, splits, shared, {})
    tuning, chosen = _choose(bench)
    history: list[Row] = []
    final: list[Row] = []
    parameters = 0
    total = len(job.seeds) * len(setting.modes) * len(setting.compressions)
    with Progress(job.method, total, "network") as bar:
        for seed in job.seeds:
            dense = bench.dense(seed)
            parameters = sum(p.numel() for p in dense.parameters())
            rows = []
            for compression in setting.compressions:
                for mode in setting.modes:
                    how = (dense, mode, chosen[mode], compression, seed)
                    name = f"seed{seed}-{compression:g}-{mode}"
                    rows += rows_once(job, name, partial(_measured, bench, *how))
                    bar.at(len(history) + len(rows), f"{mode}, {compression:.0%}")
            history += rows
            accuracy, dead = measure(dense, bench.splits["test"])
            final.append(
                {"seed": seed, "dense": round(accuracy, 6), "dead_dense": round(dead, 6)}
                | _by_compression(rows)
            )
    seconds = sum(row["pruning_s"] + row["tuning_s"] for row in history)
    return Outcome(history, final, seconds, chosen, tuning, parameters)


def _choose(bench: _Bench) -> tuple[list[Row], Row]:
    """Judge every mode's candidates on the validation split."""
    setting, method, rows, chosen = bench.job.setting, bench.job.method, [], {}
    exponents = setting.exponents if method in SCALED else (1.0,)
    for mode in setting.modes:

        def judge(candidate: Row, mode: str = mode) -> float:
            dense = bench.dense(TUNING_SEED)
            net, _ = bench.pruned(dense, mode, candidate, setting.judged_at, TUNING_SEED)
            return measure(net, bench.splits["val"])[0]

        candidates = setting.tried(mode, exponents)
        chosen[mode], tuning = tune(bench.job, candidates, judge, name=mode)
        exponents = (chosen[mode]["exponent"],)
        rows += [{"mode": mode} | row for row in tuning]
    return rows, chosen


def _measured(
    bench: _Bench, dense: nn.Sequential, mode: str, candidate: Row, compression: float, seed: int
) -> list[Row]:
    """Return what is known of one pruned network, a single row."""
    net, cost = bench.pruned(dense, mode, candidate, compression, seed)
    accuracy, dead = measure(net, bench.splits["test"])
    scores = {"compression": compression, "test_accuracy": accuracy, "dead": dead}
    rounded = {key: round(value, 6) for key, value in (scores | cost).items()}
    return [{"seed": seed, "epoch": 0, "mode": mode} | rounded]


def _by_compression(rows: list[Row]) -> Row:
    """Return the accuracies as keys such as ``none_60``, and the share of dead neurons."""
    named: Row = {}
    for row in rows:
        place = f"{100 * row['compression']:g}"
        named[f"{row['mode']}_{place}"] = row["test_accuracy"]
        if row["mode"] == "none":
            named[f"dead_{place}"] = row["dead"]
            named[f"nonzero_{place}"] = row["nonzero"]
    return named


def _sources(job: Job) -> list[tuple[str, str, int]]:
    return [(split, s.source, len(s)) for split, s in sorted(job.sets.items())]


_COMPRESSIONS = (0.6, 0.7, 0.8, 0.9)
# A first scan on the validation split of the digits placed the best rate inside this range.
_RATES = (3e-4, 1e-3, 3e-3, 1e-2)
_EXPONENTS = (0.5, 1.0)
_WITHOUT_TWIN = tuple(method for method in METHODS if method != "torch-l1")  # class-uniform
_QUICK = PruningSetting(
    data="digits",
    images=(None, None, None),
    body="",
    body_epochs=0,
    hidden=(128, 64),
    batches=300,
    batch_size=128,
    lr=1e-3,
    modes=("none", "bias", "full"),
    tuning_batches=30,
    rates=(1e-3,),
    exponents=(1.0,),
    compressions=_COMPRESSIONS,
    judged_at=0.8,
    methods=("tropical", "class-blind", "class-uniform", "tropical-neurons", "torch-ln"),
    seeds=3,
)
_CPU = replace(
    _QUICK,
    tuning_batches=100,
    rates=_RATES,
    exponents=_EXPONENTS,
    methods=tuple(METHODS),
    seeds=10,
)
_HEAD = replace(
    _CPU,
    data="cifar10",
    images=(10_000, 1_000, 1_000),
    body="vgg16",
    body_epochs=2,
    hidden=(4096, 4096),
    batches=60,
    lr=3e-4,
    tuning_batches=10,  # a sixth of the dense training, about 25 minutes a head on a core
    rates=(3e-5, 1e-4, 3e-4, 1e-3),  # around the rate the dense network is trained with
    methods=_WITHOUT_TWIN,
    seeds=3,
)
_LARGE_HEAD = replace(
    _HEAD,
    images=(None, None, None),
    body_epochs=20,
    batches=3_500,
    lr=1e-4,
    tuning_batches=350,
    seeds=5,
)
_TINY_HEAD = replace(
    _QUICK,
    data="shapes",
    images=(600, 120, 240),
    body_epochs=1,
    hidden=(64, 64),
    batches=20,
    seeds=2,
)

DIGITS = Experiment({"quick": _QUICK, "cpu": _CPU}, run, fewer_images)

MNIST = Experiment(
    {
        "quick": replace(_QUICK, hidden=(60, 20), seeds=2),
        "cpu": replace(
            _CPU,
            data="mnist",
            hidden=(300, 100),
            batches=800,
            tuning_batches=50,
            methods=_WITHOUT_TWIN,
            seeds=5,
        ),
        "gpu": replace(
            _CPU, data="mnist", hidden=(300, 100), batches=5_000, tuning_batches=500, seeds=10
        ),
    },
    run,
    fewer_images,
)

VGG16 = Experiment(
    {"quick": replace(_TINY_HEAD, body="vgg16"), "cpu": _HEAD, "gpu": _LARGE_HEAD},
    run,
    fewer_images,
)

ALEXNET = Experiment(
    {
        "quick": replace(_TINY_HEAD, body="alexnet"),
        "cpu": replace(_HEAD, body="alexnet"),
        "gpu": replace(_LARGE_HEAD, body="alexnet"),
    },
    run,
    fewer_images,
)
