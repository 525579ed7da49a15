"""Residual layers in sequence and in parallel: at each depth, on folds, and learning locally."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook import local, neighbours
from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    fewer_images,
    seed_by_seed,
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
    "sequential-1": Arm("sequential", 1),
    "parallel-1": Arm("broad", 1),
    "sequential-dense": Arm("sequential", None),
    "parallel-dense": Arm("broad", None),
}
"""Kernels of 3 x 3, whose reach differs; spread kernels, 1 x 1 and dense, whose reach is equal."""
_3_BY_3 = ("sequential", "parallel", "parallel-spread", "plain")


@dataclass(frozen=True)
class DepthSetting:
    """Networks of several depths on images, at one profile.

    At each depth a method chooses among Adam's ``rates`` by the validation loss; ``patch`` is the
    stem's, and ``images`` are at most so many of train, val and test.
    """

    data: str = "digits"
    seeds: int = 5
    methods: tuple[str, ...] = (*_3_BY_3, "sequential-1", "parallel-1")
    depths: tuple[int, ...] = (2, 4, 8, 12)
    width: int = 8
    patch: int = 1
    epochs: int = 8
    batch_size: int = 64
    rates: tuple[float, ...] = (0.002, 0.006, 0.02)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


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
        "terms": [float(f"{value:.4g}") for value in (sizes / whole).tolist()],
        "cut": [round((head(h).argmax(1) == y).double().mean().item(), 4) for h in sums],
        "bound_share": float(f"{rest.max().item() / shallow.bounds(s)[2:].sum():.3g}"),
        "largest_constant": round(float(s.max()), 4),
    }


def counted(net: Any, test: Split, seed: int) -> int:
    """Return how many regions there are in the plane of three images of different classes."""
    classes = np.random.default_rng([seed, 1]).permutation(int(test[1].max()) + 1)[:3]
    points = [test[0][test[1] == int(k)][seed % 5] for k in classes]
    return len(shallow.regions(net.double(), *(point.double() for point in points)))


def rates(
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

    chosen, tuning = rates(job, "depth", setting.depths, score)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        final: Row = {}
        rows: list[Row] = []
        for depth in setting.depths:
            start = time.process_time()
            net = trained(depth, seed, chosen[str(depth)])
            row = {"cpu_seconds": round(time.process_time() - start, 3)} | judged(net, splits)
            final |= {f"{key}_{depth}": value for key, value in row.items()}
            if arm.layout in SWAPPED:
                row |= expanded(net, splits["test"], images=16 if arm.kernel else 128)
            if arm.layout in SWAPPED and not arm.kernel:
                row["regions"] = counted(net, splits["test"], seed)
                row["regions_before"] = counted(build(depth, seed), splits["test"], seed)
                net[1].layout = SWAPPED[arm.layout]
                row["regions_swapped"] = counted(net, splits["test"], seed)
            rows.append({"depth": depth} | row)
        return final, rows

    final, history = seed_by_seed(job, measured)
    parameters = sum(p.numel() for p in build(setting.depths[-1], 0).parameters())
    wall = sum(row["seconds"] for row in final)
    return Outcome(history, final, wall, {"lr": chosen}, tuning, parameters)


@dataclass(frozen=True)
class FoldSetting:
    """Functions of one variable with 2^m pieces, at one profile; rates as in the other setting."""

    folds: tuple[int, ...] = (2, 4, 6)
    seeds: int = 5
    methods: tuple[str, ...] = ("sequential", "parallel")
    depth: int = 8
    width: int = 16
    steps: int = 1000
    rates: tuple[float, ...] = (0.002, 0.006, 0.02)


def draw_folds(setting: FoldSetting, seed: int) -> dict[str, Samples]:
    """Return inputs (N, 1) in [-1, 1] and the folded values (N, m), from 0 to 1."""
    splits = {}
    for split, shift in {"train": 0.0, "val": 1 / 3, "test": 2 / 3}.items():
        x = (2 * (torch.arange(512, dtype=torch.float64) + shift) / 512 - 1)[:, None]
        with torch.no_grad():
            folded = [1 - 2 ** (m - 1) * (1 - shallow.fold(m)(x)) for m in setting.folds]
        splits[split] = Samples(x.float(), torch.cat(folded, dim=1).float(), "folds of [-1, 1]")
    return splits


def on_folds(job: Job) -> Outcome:
    """Fit each function: the mean squared error as a share of the variance."""
    setting: FoldSetting = job.setting
    splits = job.splits(0)
    layout = METHODS[job.method].layout

    def left(m: int, seed: int, split: str, *, lr: float) -> float:
        net = shallow.network(
            (1,), 1, layout, depth=setting.depth, width=setting.width, kernel=None, seed=seed
        )
        at = setting.folds.index(m)
        y, new = (splits[name].y[:, at : at + 1] for name in ("train", split))
        how: Any = {"steps": setting.steps, "batch_size": 128, "lr": lr, "seed": seed}
        fit(net, splits["train"].x, y, loss=F.mse_loss, **how)
        with torch.no_grad():
            return float(F.mse_loss(net(splits[split].x), new) / new.var())

    def score(m: int, candidate: Row) -> float:
        return round(math.exp(-left(m, TUNING_SEED, "val", **candidate)), 6)

    chosen, tuning = rates(job, "folds", setting.folds, score)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        found = {m: left(m, seed, "test", lr=chosen[str(m)]) for m in setting.folds}
        return {f"left_{m}": float(f"{value:.4g}") for m, value in found.items()}, []

    final, history = seed_by_seed(job, measured)
    return Outcome(history, final, sum(r["seconds"] for r in final), {"lr": chosen}, tuning)


LOCAL: Mapping[str, tuple[str, local.Rule, bool]] = {
    "sequential-bp": ("sequential", local.BP(), False),
    "sequential-local": ("sequential", local.PlainLocal(), False),
    "parallel-bp": ("parallel", local.BP(), False),
    "parallel-local": ("parallel", local.PlainLocal(), False),
    "parallel-alone": ("parallel", local.PlainLocal(), True),
}
"""Layout, rule, and whether the heads of parallel layers see their own layer alone."""


@dataclass(frozen=True)
class LocalSetting:
    """Networks whose layers learn by themselves, at one profile; fields as of the depths."""

    data: str = "digits"
    seeds: int = 5
    methods: tuple[str, ...] = tuple(LOCAL)
    depth: int = 6
    width: int = 8
    epochs: int = 8
    rates: tuple[float, ...] = (0.002, 0.006, 0.02)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


def locally(job: Job) -> Outcome:
    """Train layouts by back-propagation and locally, at the rate of the best validation accuracy.

    ``similar`` is the mean linear CKA of pairs of layers F_k, each at its own input.
    """
    setting: LocalSetting = job.setting
    layout, rule, alone = LOCAL[job.method]
    train = DeviceImages(job.sets["train"])
    sets = {name: DeviceImages(s, stats=train.stats) for name, s in job.sets.items()}

    def trained(seed: int, lr: float) -> local.IsolatedNetwork:
        net = shallow.network(
            job.sets["train"].images.shape[1:], len(job.sets["train"].class_names), layout,
            depth=setting.depth, width=setting.width, kernel=3, seed=seed,
        )  # fmt: skip
        chain = shallow.isolated(net, alone=alone, seed=seed)
        schedule = local.Schedule(setting.epochs, 64, lr, weight_decay=0.0, optimiser="adamw")
        local.train(chain, rule, train, sets["val"], schedule, seed=seed, measure_epochs=False)
        return chain.eval()

    def score(candidate: Row) -> float:
        net = trained(TUNING_SEED, **candidate)
        return round(accuracy(net, *sets["val"].at(slice(None))), 4)

    chosen, tuning = tune(job, [{"lr": lr} for lr in setting.rates], score)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        net = trained(seed, **chosen)
        x, y = sets["test"].at(slice(None))
        outs = []
        for layer in net.modules():
            if isinstance(layer, nn.ReLU):
                layer.register_forward_hook(lambda *seen: outs.append(seen[2].detach()))
        with torch.no_grad():
            heads = [(s.argmax(1) == y).double().mean().item() for s in net.all_scores(x)]
        similar = local.linear_cka(outs, outs)
        pairs = [float(similar[i, j]) for i, j in combinations(range(len(outs)), 2)]
        row = {"test_accuracy": round(heads[-1], 4), "similar": round(float(np.mean(pairs)), 4)}
        return row | {"heads": [round(head, 4) for head in heads]}, []

    final, history = seed_by_seed(job, measured)
    return Outcome(history, final, sum(r["seconds"] for r in final), chosen, tuning)


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

_DENSE = ("sequential-dense", "parallel-dense")
SHALLOW_AGAIN_DENSE = Experiment(
    {
        "quick": DepthSetting(methods=_DENSE, depths=(2, 4), **_FEW),
        "cpu": DepthSetting(seeds=10, methods=_DENSE),
    },
    at_depths,
    fewer_images,
)
"""Dense layers on digits, their expansion and their regions."""

_PHOTOGRAPHS = DepthSetting(
    "cifar10", methods=_3_BY_3, depths=(2, 6, 12), patch=4, images=(1000, 500, 1000)
)
SHALLOW_AGAIN_CIFAR10 = Experiment({"cpu": _PHOTOGRAPHS}, at_depths, fewer_images)
"""Photographs, in patches of 4 x 4 pixels."""

SHALLOW_AGAIN_FOLDS = Experiment(
    {"quick": FoldSetting((2,), seeds=2, steps=50, rates=(0.006,)), "cpu": FoldSetting()},
    on_folds,
    draw=draw_folds,
)
"""The control that needs depth."""

SHALLOW_AGAIN_LOCAL = Experiment(
    {"quick": LocalSetting(depth=3, **_FEW), "cpu": LocalSetting()}, locally, fewer_images
)
"""The question of part I."""
