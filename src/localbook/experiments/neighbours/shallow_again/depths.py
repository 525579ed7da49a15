"""Residual layers in sequence and in parallel, at each depth."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
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
    significant,
    tune,
)
from localbook.fit import accuracy, fit

shallow = neighbours.shallow_again

SWAPPED = {"sequential": "broad", "broad": "sequential"}
"""The layout with the same weights."""


@dataclass(frozen=True)
class Arm:
    """A layout, and the side of its layers' kernels, None for dense layers of twice the width."""

    layout: str
    kernel: int | None = 3
    spread: bool = False


METHODS: Mapping[str, Arm] = {
    "sequential": Arm("sequential"),
    "parallel": Arm("broad"),
    "parallel-spread": Arm("parallel", spread=True),
    "plain": Arm("plain"),
    "sequential-pixel": Arm("sequential", 1),
    "parallel-pixel": Arm("broad", 1),
    "sequential-dense": Arm("sequential", None),
    "parallel-dense": Arm("broad", None),
    "plain-dense": Arm("plain", None),
}
"""Kernels of 3 x 3, whose reach differs; spread ones, pixels and dense layers, with equal reach."""
_DENSE = ("sequential-dense", "parallel-dense", "plain-dense")
_KERNELS = tuple(method for method in METHODS if method not in _DENSE)


@dataclass(frozen=True)
class DepthSetting:
    """Networks of several depths on images, at one profile.

    At each depth a method chooses among Adam's ``rates`` by the validation loss; ``patch`` is the
    stem's, and ``images`` are at most so many of train, val and test.
    """

    data: str = "digits"
    seeds: int = 10
    methods: tuple[str, ...] = _KERNELS
    depths: tuple[int, ...] = (2, 6, 12)
    width: int = 8
    patch: int = 1
    epochs: int = 10
    batch_size: int = 64
    rates: tuple[float, ...] = (0.002, 0.006, 0.02)
    images: tuple[int | None, int | None, int | None] = (640, None, None)


Split = tuple[Tensor, Tensor]


@torch.no_grad()
def likelihood(net: nn.Module, split: Split) -> float:
    """Return exp(-cross-entropy): larger is better, and nothing is worse than 0."""
    return math.exp(-F.cross_entropy(net(split[0]), split[1]).item())


def judged(net: nn.Module, splits: Mapping[str, Split]) -> Row:
    """Return losses on train and test, and accuracy on test."""
    with torch.no_grad():
        losses = {
            f"{name}_loss": round(F.cross_entropy(net(x), y).item(), 5)
            for name, (x, y) in splits.items()
            if name != "val"
        }
    return losses | {"test_accuracy": round(accuracy(net, *splits["test"]), 4)}


@torch.no_grad()
def expanded(net: Any, test: Split, *, images: int) -> Row:
    """Return what each order of the expansion is worth.

    ``terms`` are mean lengths, as shares of the mean length of h_D - x. ``cut`` is the accuracy
    of all orders up to each. ``bound_share`` is the largest share of the bound on all orders from
    the second on that an image attains.
    """
    net.double()
    stem, stack, head = net
    x, y = stem(test[0][:images].double()), test[1][:images]
    terms = shallow.expansion(stack.layers, x)
    sums = terms.cumsum(dim=0)
    sizes = terms.flatten(2).norm(dim=2).mean(dim=1)
    s, c = shallow.constants(stack, x)
    rest = (sums[-1] - sums[1]).flatten(1).norm(dim=1) / (x.flatten(1).norm(dim=1) + c)
    whole = (sums[-1] - x).flatten(1).norm(dim=1).mean()
    return {
        "terms": [significant(value, 4) for value in (sizes / whole).tolist()],
        "cut": [round((head(h).argmax(1) == y).double().mean().item(), 4) for h in sums],
        "bound_share": significant(rest.max().item() / shallow.bounds(s)[2:].sum(), 3),
        "largest_constant": round(float(s.max()), 4),
    }


def counted(net: Any, test: Split, seed: int) -> int:
    """Return how many regions there are in the plane of three images of different classes."""
    classes = np.random.default_rng([seed, 1]).permutation(int(test[1].max()) + 1)[:3]
    points = [test[0][test[1] == int(k)][seed % 5] for k in classes]
    return len(shallow.regions(net.double(), *(point.double() for point in points)))


def chosen_rates(
    job: Job, name: str, cases: Sequence[int], score: Callable[[int, Row], float]
) -> tuple[Row, list[Row]]:
    """Choose the learning rate of each case, such as a depth; return them, and what was tried."""
    chosen, tuning = {}, []
    for case in cases:
        candidates = [{"lr": lr} for lr in job.setting.rates]
        best, rows = tune(
            job, candidates, partial(score, case), name=f"{name}{case}-", score="val_likelihood"
        )
        chosen[str(case)] = best["lr"]
        tuning += [{name: case} | row for row in rows]
    return chosen, tuning


def at_depths(job: Job) -> Outcome:
    """Choose the rate at each depth on the validation split; train and judge every seed with it."""
    arm, setting = METHODS[job.method], job.setting
    train = DeviceImages(job.sets["train"])
    splits = {
        name: DeviceImages(images, stats=train.stats).at(slice(None))
        for name, images in job.sets.items()
    }
    width = setting.width if arm.kernel else 2 * setting.width

    def build(depth: int, seed: int) -> Any:
        return shallow.network(
            splits["train"][0].shape[1:], len(job.sets["train"].class_names), arm.layout,
            depth=depth, width=width, kernel=arm.kernel, spread=arm.spread, patch=setting.patch,
            seed=seed,
        )  # fmt: skip

    def trained(depth: int, seed: int, lr: float) -> Any:
        how = {"epochs": setting.epochs, "batch_size": setting.batch_size, "lr": lr, "seed": seed}
        return fit(build(depth, seed), *splits["train"], **how)

    def score(depth: int, candidate: Row) -> float:
        return round(likelihood(trained(depth, TUNING_SEED, **candidate), splits["val"]), 5)

    chosen, tuning = chosen_rates(job, "depth", setting.depths, score)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        final: Row = {}
        rows: list[Row] = []
        for depth in setting.depths:
            start = time.process_time()
            net = trained(depth, seed, chosen[str(depth)])
            row = {"cpu_seconds": round(time.process_time() - start, 3)} | judged(net, splits)
            final |= {f"{key}_{depth}": value for key, value in row.items()}
            if arm.layout in SWAPPED:
                row |= expanded(net, splits["test"], images=4 if arm.kernel else 128)
            if arm.layout in SWAPPED and not arm.kernel:
                row["regions"] = counted(net, splits["test"], seed)
                row["regions_before"] = counted(build(depth, seed), splits["test"], seed)
                net[1].layout = SWAPPED[arm.layout]
                row["regions_swapped"] = counted(net, splits["test"], seed)
            rows.append({"depth": depth} | row)
        return final, rows

    parameters = sum(p.numel() for p in build(setting.depths[-1], 0).parameters())
    return seed_by_seed(job, measured, {"lr": chosen}, tuning, parameters)


_FEW: dict[str, Any] = {"seeds": 2, "epochs": 2, "rates": (0.006,), "images": (200, 50, 100)}
SHALLOW_AGAIN = Experiment(
    {
        "quick": DepthSetting(methods=("sequential", "parallel"), depths=(2, 4), **_FEW),
        "cpu": DepthSetting(),
    },
    at_depths,
    fewer_images,
)
"""Convolutions on digits."""

SHALLOW_AGAIN_DENSE = Experiment(
    {
        "quick": DepthSetting(methods=_DENSE[:2], depths=(2, 4), **_FEW),
        "cpu": DepthSetting(methods=_DENSE, images=(None, None, None)),
    },
    at_depths,
    fewer_images,
)
"""Dense layers on digits, their expansion and their regions."""

_PHOTOGRAPHS = DepthSetting("cifar10", seeds=5, patch=4, images=(640, 500, 1000))
SHALLOW_AGAIN_CIFAR10 = Experiment({"cpu": _PHOTOGRAPHS}, at_depths, fewer_images)
"""Photographs, in patches of 4 x 4 pixels."""
