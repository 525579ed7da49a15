"""How quadratic networks train: from which start, at which depth, beside conventional ones."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from localbook import neighbours
from localbook.arrays import Row
from localbook.data import ImageSet
from localbook.errors import TrainingError
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    each_seed,
    fewer_images,
    seed_by_seed,
    tune,
)
from localbook.fit import accuracy, fit
from localbook.tropical import linear_regions

quadratic = neighbours.quadratic


@dataclass(frozen=True)
class Way:
    """How a network starts and is trained.

    Attributes
    ----------
    start : str
        Of :func:`localbook.neighbours.quadratic.network`.
    gamma, beta : float
        By how much gradients, and weights, of the quadratic parts are shrunk.
    norm, clip, adam : bool
        Batch normalisation; gradients clipped at norm 1; Adam in place of descent with momentum.
    scaled : bool
        A start whose pre-activations all have unit variance.
    wide : bool
        As wide as has the parameters of the quadratic network.
    """

    start: quadratic.Start = "relinear"
    gamma: float = 1.0
    beta: float = 0.0
    norm: bool = False
    clip: bool = False
    adam: bool = False
    scaled: bool = False
    wide: bool = False


METHODS: Mapping[str, Way] = {
    "conventional": Way("conventional"),
    "conventional-wide": Way("conventional", wide=True),
    "conventional-norm": Way("conventional", norm=True),
    "random": Way("random"),
    "random-slow": Way("random", gamma=0.01),
    "random-scaled": Way("random", scaled=True),
    "random-scaled-clipped": Way("random", scaled=True, clip=True),
    "random-scaled-adam": Way("random", scaled=True, adam=True),
    "random-norm": Way("random", norm=True),
    **{f"relinear-{gamma:g}": Way(gamma=gamma) for gamma in (0, 0.001, 0.01, 0.1, 1)},
    "relinear-shrunk": Way(beta=0.01),
    "relinear-norm": Way(norm=True),
}
"""The paper's start at several γ, what it is compared with, and the controls."""


@dataclass(frozen=True)
class QuadraticSetting:
    """Networks of several depths on images, at one profile.

    Attributes
    ----------
    depths : tuple of int
        Hidden layers.
    width : int
        Neurons of each.
    rates : tuple of float
        The learning rates among which each method chooses at each depth, by validation.
    """

    seeds: int
    methods: tuple[str, ...] = tuple(METHODS)
    data: str = "digits"
    depths: tuple[int, ...] = (2, 4, 6)
    width: int = 32
    epochs: int = 10
    batch_size: int = 64
    rates: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


def _tensors(images: ImageSet, like: ImageSet) -> tuple[Tensor, Tensor]:
    """Return images as rows (N, n) with the mean 0 and deviation 1 of others, and labels."""
    (mean, *_), (std, *_) = like.channel_stats()
    x = (torch.from_numpy(images.images).float().flatten(1) / 255 - mean) / std
    return x, torch.from_numpy(images.labels)


def widths(way: Way, setting: QuadraticSetting, depth: int, ends: tuple[int, int]) -> list[int]:
    """Return the widths of a method's network, of ``ends`` inputs and outputs."""

    def hidden(width: int) -> list[int]:
        return [ends[0], *[width] * depth, ends[1]]

    if not way.wide:
        return hidden(setting.width)
    n, m, out = ends[0], setting.width, ends[1]
    goal = 3 * ((n + 1) * m + (depth - 1) * m * (m + 1)) + out * (m + 1)
    for k in range(m, 4 * m):
        if (n + 1) * k + (depth - 1) * k * (k + 1) + out * (k + 1) >= goal:
            break
    return hidden(k)


@torch.no_grad()
def unit_variance_(net: nn.Sequential, x: Tensor) -> None:
    """Scale w_r, b_r, w_b and c layer by layer until pre-activations of inputs (N, n) have it."""
    for layer in net:
        out = layer(x)
        if isinstance(layer, quadratic.Quadratic):
            for weight in (*layer.r.parameters(), *layer.b.parameters()):
                weight.div_(out.std())
            out = layer(x)
        x = out


def _clipped(*args: Any, **kwargs: Any) -> torch.optim.Optimizer:
    optimiser = torch.optim.SGD(*args, **kwargs)
    weights = [w for group in optimiser.param_groups for w in group["params"]]

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(weights, 1.0)

    optimiser.register_step_pre_hook(clip)
    return optimiser


def trained(way: Way, job: Job, depth: int, lr: float, seed: int) -> tuple[nn.Sequential, bool]:
    """Return a trained network, and whether its loss has stayed finite."""
    setting, images = job.setting, job.sets["train"]
    x, y = _tensors(images, images)
    sizes = widths(way, setting, depth, (x.shape[1], len(images.class_names)))
    net = quadratic.network(sizes, seed, start=way.start, norm=way.norm)
    if way.scaled:
        unit_variance_(net, x)
    descent: Any = partial(_clipped if way.clip else torch.optim.SGD, momentum=0.9)
    try:
        fit(
            net,
            x,
            y,
            epochs=setting.epochs,
            batch_size=setting.batch_size,
            lr=lr,
            seed=seed,
            optimiser=quadratic.shrink_gradients(
                net, way.gamma, torch.optim.Adam if way.adam else descent
            ),
            after_step=quadratic.shrink_weights(net, way.beta),
        )
    except TrainingError:
        return net.eval(), False
    return net, True


def run(job: Job) -> Outcome:
    """Choose a rate for each depth on the validation split, and train every seed with it."""
    way, setting = METHODS[job.method], job.setting

    def judged(depth: int, candidate: Row) -> float:
        net, finite = trained(way, job, depth, candidate["lr"], TUNING_SEED)
        x, y = _tensors(job.sets["val"], job.sets["train"])
        return round(accuracy(net, x, y), 4) if finite else 0.0

    chosen: dict[int, float] = {}
    tuning: list[Row] = []
    for depth in setting.depths:
        candidates = [{"lr": lr} for lr in setting.rates]
        best, rows = tune(job, candidates, partial(judged, depth), name=f"depth{depth}-")
        chosen[depth] = best["lr"]
        tuning += [{"depth": depth} | row for row in rows]

    def measured(seed: int) -> tuple[Row, list[Row]]:
        rows = []
        for depth, lr in chosen.items():
            net, finite = trained(way, job, depth, lr, seed)
            found = accuracy(net, *_tensors(job.sets["test"], job.sets["train"]))
            count = sum(weight.numel() for weight in net.parameters())
            rows.append(
                {
                    "depth": depth,
                    "parameters": count,
                    "finite": finite,
                    "test_accuracy": round(found, 4),
                }
            )
        return {f"test_accuracy_{row['depth']}": row["test_accuracy"] for row in rows}, rows

    rates = {f"lr_{depth}": lr for depth, lr in chosen.items()}
    return seed_by_seed(job, measured, rates, tuning)


QUADRATIC = Experiment(
    {
        "quick": QuadraticSetting(
            seeds=2,
            methods=("conventional", "random", "relinear-0", "relinear-0.1"),
            depths=(2, 4),
            width=16,
            epochs=4,
            rates=(1e-2,),
            images=(300, 100, 200),
        ),
        "cpu": QuadraticSetting(seeds=5),
    },
    run,
    prepare=fewer_images,
)


@dataclass(frozen=True)
class CircleSetting:
    """One hidden layer on points of the plane inside and outside a circle.

    Attributes
    ----------
    points : int
        For training, standard normal; twice as many for testing.
    neurons : tuple of int
    """

    seeds: int
    methods: tuple[str, ...] = ("conventional", "random", "relinear")
    points: int = 1000
    neurons: tuple[int, ...] = (1, 2, 3, 4, 8)
    epochs: int = 50
    batch_size: int = 100
    lr: float = 0.03


def draw(setting: CircleSetting, seed: int) -> dict[str, Samples]:
    """Return normal points labelled by |x|² > 2 log 2, which is true of a half."""
    rng = np.random.default_rng(seed)
    parts = {}
    for split, count in (("train", setting.points), ("test", 2 * setting.points)):
        x = torch.from_numpy(rng.normal(size=(count, 2))).float()
        y = (x.square().sum(1) > 2 * np.log(2)).float()
        parts[split] = Samples(x, y, f"a circle and {setting.points:,} normal points, drawn")
    return parts


def in_circle(
    setting: CircleSetting, points: Samples, start: Any, m: int, seed: int
) -> nn.Sequential:
    """Return a trained network (2, m, 1), whose output is positive outside."""

    def loss(out: Tensor, y: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(out[:, 0], y)

    net = quadratic.network((2, m, 1), seed, start=start)
    with suppress(TrainingError):
        fit(
            net,
            points.x,
            points.y,
            epochs=setting.epochs,
            batch_size=setting.batch_size,
            lr=setting.lr,
            seed=seed,
            loss=loss,
            optimiser=partial(torch.optim.SGD, momentum=0.9),
        )
    return net


BOX = ((-3.0, 3.0), (-3.0, 3.0))


def circled(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train one seed at all widths; a neuron is dead if it is zero on all training points."""
    splits, rows = job.splits(seed), []
    for m in job.setting.neurons:
        net = in_circle(job.setting, splits["train"], job.method, m, seed)
        with torch.no_grad():
            right = (net(splits["test"].x)[:, 0] > 0) == (splits["test"].y > 0)
            dead = (net[:2](splits["train"].x) == 0).all(0).sum()
            finite = bool(torch.stack([w.isfinite().all() for w in net.parameters()]).all())
        cut: Any = linear_regions if job.method == "conventional" else quadratic.conic_pieces
        rows.append(
            {
                "neurons": m,
                "parameters": sum(weight.numel() for weight in net.parameters()),
                "test_accuracy": round(right.double().mean().item(), 4),
                "dead": int(dead),
                "pieces": len(cut(net, BOX)) if finite else None,
            }
        )
    return {"test_accuracy": rows[-1]["test_accuracy"]}, rows


QUADRATIC_CIRCLE = Experiment(
    {
        "quick": CircleSetting(seeds=2, points=200, neurons=(1, 2), epochs=10),
        "cpu": CircleSetting(seeds=10),
    },
    each_seed(circled),
    draw=draw,
)
