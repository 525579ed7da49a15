"""AF-KAN beside MLPs, ReLU-KANs and splines: at equal size, equal tuning, and in other company."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Row
from localbook.data import ImageSet
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    seed_by_seed,
    tune,
)
from localbook.fit import accuracy, mlp

af_kan = neighbours.af_kan


@dataclass(frozen=True)
class Arm:
    """A network, and how long it is trained.

    Attributes
    ----------
    layer : str
        ``af``, ``relu-kan`` or ``spline``; ``mlp``, which is LayerNorm, a matrix without bias and
        SiLU, with (``published``) or without SiLU on the logits; ``bare``, an AF-KAN without
        functions, LayerNorm, SiLU and a matrix; ``plain``, ReLU and biases.
    options : mapping
        Of :class:`localbook.neighbours.af_kan.AFLayer`.
    as_large : bool
        With the fewest hidden neurons that give no fewer parameters than the AF-KAN has; else with
        as many hidden neurons as that.
    longer : int
        How many times as long as the others.
    """

    layer: str = "af"
    options: Mapping[str, Any] = field(default_factory=dict)
    as_large: bool = False
    longer: int = 1


METHODS: Mapping[str, Arm] = {
    "af-kan": Arm(),
    "not-normalised": Arm(options={"over": "none"}),
    "by-sample": Arm(options={"over": "sample"}),
    "multistep": Arm(options={"reduction": "multistep"}),
    "spatial": Arm(options={"reduction": "spatial"}),
    "af-relu": Arm(options={"activation": "relu"}),
    "af-sum": Arm(options={"combine": "sum"}),
    "no-functions": Arm("bare"),
    "mlp": Arm("mlp"),
    "mlp-longer": Arm("mlp", longer=4),
    "mlp-published": Arm("published"),
    "mlp-plain": Arm("plain"),
    "relu-kan": Arm("relu-kan", as_large=True),
    "relu-kan-wide": Arm("relu-kan"),
    "spline": Arm("spline", as_large=True),
    "spline-wide": Arm("spline"),
}
"""The paper's network, its parts exchanged one at a time, and its rivals."""


@dataclass(frozen=True)
class KanSetting:
    """Networks of one hidden layer on images, at one profile.

    Attributes
    ----------
    hidden : int
        Neurons of the AF-KAN and of all that are not made as large as it.
    epochs, batch_size : int
    rates : tuple of float
        Candidates of AdamW's first learning rate, which falls along a cosine; all methods choose
        among them, by validation.
    published : tuple of str
        Methods that are trained once more, for 25 epochs of the authors' schedule.
    """

    data: str = "digits"
    seeds: int = 10
    methods: tuple[str, ...] = tuple(METHODS)
    hidden: int = 32
    epochs: int = 25
    batch_size: int = 128
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    published: tuple[str, ...] = ("af-kan", "mlp", "mlp-published", "mlp-plain")
    images: tuple[int | None, int | None, int | None] = (None, None, None)


def build(arm: Arm, ends: tuple[int, int], hidden: int, seed: int) -> nn.Module:
    """Return a network with so many hidden neurons; all of its parameters are used."""
    widths = (ends[0], hidden, ends[1])

    def before(n: int, m: int) -> nn.Module:
        return nn.Sequential(nn.LayerNorm(n), nn.SiLU(), nn.Linear(n, m, bias=False))

    def after(n: int, m: int) -> nn.Module:
        return nn.Sequential(nn.LayerNorm(n), nn.Linear(n, m, bias=False), nn.SiLU())

    if arm.layer == "plain":
        return mlp(widths, seed)
    layers: dict[str, Any] = {
        "af": partial(af_kan.AFLayer, **arm.options),
        "relu-kan": af_kan.ReLUKAN,
        "spline": af_kan.SplineKAN,
        "bare": before,
        "mlp": after,
        "published": after,
    }
    net: nn.Sequential = af_kan.network(widths, seed, layers[arm.layer])
    if arm.layer == "mlp":
        net[-1] = nn.Sequential(*list(net[-1].children())[:2])
    return net


def size(net: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(weight.numel() for weight in net.parameters())


def neurons(arm: Arm, ends: tuple[int, int], hidden: int) -> int:
    """Return how many hidden neurons an arm has."""
    if not arm.as_large:
        return hidden
    goal = size(build(Arm(), ends, hidden, 0))
    return next(m for m in count(1) if size(build(arm, ends, m, 0)) >= goal)


def tensors(images: ImageSet) -> tuple[Tensor, Tensor]:
    """Return images as rows (N, D) in [-1, 1], and labels (N,)."""
    return torch.tensor(images.images).flatten(1) / 127.5 - 1, torch.tensor(images.labels)


def in_company(net: nn.Module, x: Tensor, y: Tensor, sizes: Sequence[int]) -> list[Row]:
    """Judge samples all at once, in batches of other sizes, and of the first size sorted by class.

    ``changed`` is the share whose predicted class is another than all at once.
    """
    whole, given = net(x).argmax(1), torch.arange(len(x))
    batches = [("all", len(x), given), *((str(n), n, given) for n in sizes)]
    batches += [("sorted", n, y.argsort(stable=True)) for n in sizes[:1]]
    rows = []
    for company, batch_size, at in batches:
        said = af_kan.scores(net, x[at], batch_size).argmax(1)
        shares = (said == y[at]), (said != whole[at])
        right, changed = (round(share.double().mean().item(), 4) for share in shares)
        rows.append({"company": company, "accuracy": right, "changed": changed})
    return rows


def run(job: Job) -> Outcome:
    """Choose the rate on the validation split, train every seed with it, and judge it."""
    arm, setting = METHODS[job.method], job.setting
    splits = {split: tensors(images) for split, images in job.sets.items()}
    ends = splits["train"][0].shape[1], len(job.sets["train"].class_names)
    hidden = neurons(arm, ends, setting.hidden)
    long = {"epochs": arm.longer * setting.epochs, "batch_size": setting.batch_size}

    def trained(seed: int, **how: Any) -> nn.Module:
        net = build(arm, ends, hidden, seed)
        af_kan.train(net, *splits["train"], seed=seed, **how)
        return net

    def judged(candidate: Row) -> float:
        net = trained(TUNING_SEED, **long, **candidate)
        return round(accuracy(net, *splits["val"]), 4)

    chosen, tuning = tune(job, [{"lr": lr} for lr in setting.rates], judged)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        start = time.process_time()
        net = trained(seed, **long, **chosen)
        seconds = time.process_time() - start
        with torch.no_grad():
            rows = in_company(net, *splits["test"], (64, 8, 1) if arm.layer == "af" else ())
        row = {"test_accuracy": rows[0]["accuracy"], "cpu_seconds": round(seconds, 3)}
        if job.method in setting.published:
            other = trained(seed, epochs=25, batch_size=64, lr=1e-3, fall=0.8)
            row["published_accuracy"] = round(accuracy(other, *splits["test"]), 4)
        return row, rows

    parameters = size(build(arm, ends, hidden, 0))
    return seed_by_seed(job, measured, chosen | {"hidden": hidden}, tuning, parameters)


AF_KAN = Experiment(
    {
        "quick": KanSetting(
            seeds=2,
            methods=("af-kan", "not-normalised", "mlp", "relu-kan", "spline"),
            epochs=20,
            rates=(0.01,),
            published=(),
            images=(300, 100, 200),
        ),
        "cpu": KanSetting(),
    },
    run,
    fewer_images,
)
"""Digits."""

AF_KAN_MNIST = Experiment(
    {
        "cpu": KanSetting(
            "mnist",
            seeds=5,
            methods=(
                "af-kan",
                "not-normalised",
                "no-functions",
                "mlp",
                "mlp-longer",
                "mlp-plain",
                "relu-kan",
                "spline",
            ),
            hidden=64,
            epochs=8,
            batch_size=64,
            rates=(0.003, 0.01, 0.03),
            published=(),
        )
    },
    run,
    fewer_images,
)
"""The paper's images, and its structure of 784, 64 and 10."""
