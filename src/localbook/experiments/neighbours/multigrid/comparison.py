"""Multigrid operators beside spectral and convolutional ones, on two elliptic problems."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook import neighbours
from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    seed_by_seed,
    tune,
)
from localbook.experiments.neighbours.multigrid.operators import (
    FNO,
    Apart,
    Spectral,
    UNet,
    convolutions,
)
from localbook.fit import fit, seeded
from localbook.local.networks import Scale

mg = neighbours.multigrid


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What both experiments have in common.

    Attributes
    ----------
    n : int
        Inner points a side under Dirichlet's condition; one more under the periodic one, and one
        more again under Neumann's.
    train, test : int
        Functions.
    levels : int
        Of a multigrid cycle.
    steps, batch_size : int
    rates : tuple of float
        Candidates for Adam's first learning rate, which falls to zero along a cosine.
    """

    seeds: int = 5
    methods: tuple[str, ...] = ()
    n: int = 31
    train: int = 200
    test: int = 100
    levels: int = 4
    steps: int = 300
    batch_size: int = 10
    rates: tuple[float, ...] = (0.01, 0.03)

    def __post_init__(self) -> None:
        if (self.n + 1) % 2**self.levels or min(self.train, self.test, self.steps) < 1:
            raise ConfigError(
                f"n={self.n}, levels={self.levels}: n + 1 must be a multiple of 2^levels, and "
                "train, test and steps at least one."
            )

    @property
    def cycle(self) -> list[tuple[int, int]]:
        """The steps of a cycle: one before each coarser level, two on the coarsest."""
        return [(1, 0)] * (self.levels - 1) + [(2, 0)]


def trained(
    setting: Fitting, net: nn.Module, x: Tensor, y: Tensor, rate: float, seed: int,
    look: Callable[[int], object] = lambda step: None,
) -> nn.Module:  # fmt: skip
    """Train a network by Adam on the relative error, with a rate that falls along a cosine."""
    optimiser = torch.optim.Adam(net.parameters(), rate)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, setting.steps)

    def after_step(step: int) -> None:
        falling.step()
        look(step)

    return fit(
        net, x, y, steps=setting.steps, batch_size=setting.batch_size, lr=rate, seed=seed,
        loss=mg.relative, optimiser=lambda *_, **__: optimiser, after_step=after_step,
    )  # fmt: skip


def tensor(x: Any) -> Tensor:
    """Return an array (N, n, n) as functions (N, 1, n, n), float32."""
    return torch.tensor(x, dtype=torch.float32)[:, None]


def compared(
    job: Job, measure: Callable[[Job, float, int], tuple[Row, list[Row]]], net: nn.Module
) -> Outcome:
    """Choose the rate by the key ``error`` on data of another seed, then run all seeds."""
    chosen, tuning = tune(
        job,
        [{"lr": rate} for rate in job.setting.rates],
        lambda candidate: 1 / measure(job, candidate["lr"], TUNING_SEED)[0]["error"],
        score="inverse_error",
    )
    numbers = sum(weight.numel() for weight in net.parameters())
    return seed_by_seed(job, partial(measure, job, chosen["lr"]), chosen, tuning, numbers)


# The elliptic problem: a linear operator, under each boundary condition.


@dataclass(frozen=True, kw_only=True)
class Elliptic(Fitting):
    """Learn f -> u of -Δu = f. The coefficients of f fall like 1/|k|, ``c`` functions a cycle."""

    c: int = 4
    methods: tuple[str, ...] = (
        "v-cycle", "other-padding", "spectral", "spectral-own", "convolutions", "one-level",
        "classical-start",
    )  # fmt: skip


OTHER = {"dirichlet": "circular", "neumann": "zeros", "periodic": "zeros"}
FALLING = {"test": 1.0, "rough": 0.0, "smooth": 2.0, "rising": -1.0}


@cache
def draw_elliptic(setting: Elliptic, seed: int) -> Mapping[str, Samples]:
    """Return ``train`` and ``test`` under Dirichlet's condition, and all others by their names."""
    rng = np.random.default_rng(seed)

    def pairs(boundary: str, count: int, decay: float) -> Samples:
        n = setting.n + 1 + mg.BOUNDARIES[boundary][1]
        f = mg.sources(rng.normal(size=(count, n, n)), boundary, decay=decay)
        source = f"-Δu = f, {boundary}, {n} x {n} points, drawn"
        return Samples(tensor(f), tensor(mg.poisson(f, boundary)), source)

    splits = {"train": pairs("dirichlet", setting.train, 1.0)}
    splits |= {name: pairs("dirichlet", setting.test, decay) for name, decay in FALLING.items()}
    splits["rising-train"] = pairs("dirichlet", setting.train, FALLING["rising"])
    for boundary in ("neumann", "periodic"):
        splits[f"{boundary}-train"] = pairs(boundary, setting.train, 1.0)
        splits[boundary] = pairs(boundary, setting.test, 1.0)
    return splits


def linear(setting: Elliptic, method: str, boundary: str) -> nn.Module:
    """Return a linear operator of one function."""
    cycle, c, padding = setting.cycle, setting.c, None
    if method == "convolutions":
        return convolutions((1, *[6] * 5, 1))
    if method.startswith("spectral"):
        return Spectral(
            1, 1, (setting.n + 1) // 2, boundary if method == "spectral-own" else "periodic"
        )
    if method == "classical-start":
        return nn.Sequential(Scale(least(setting)), mg.classical([(1, 1)] * setting.levels).float())
    if method == "one-level":
        cycle = [(sum(before for before, _ in cycle), 0)]
    elif method == "other-padding":
        padding = OTHER[boundary]
    W = mg.Cycle(1, c, cycle, boundary=boundary, padding=padding)
    return nn.Sequential(W, nn.Conv2d(c, 1, 1, bias=False))


def least(setting: Elliptic) -> float:
    """Return the least eigenvalue of the stencil of five points under Dirichlet's condition."""
    return float(8 * np.sin(np.pi / 2 / (setting.n + 1)) ** 2)


def rate(setting: Elliptic, net: nn.Module) -> float:
    """Return the factor by which e <- e - W A e shrinks e in a cycle, after four cycles."""
    e = mg.errors(lambda f: net(f.float() / least(setting)).double(), setting.n, cycles=10)
    return float((e[-1] / e[4]) ** (1 / 6))


def on_elliptic(job: Job, lr: float, seed: int) -> tuple[Row, list[Row]]:
    """Train one operator under Dirichlet's condition, and most kinds under the others, too."""
    s: Elliptic = job.setting
    splits, final = job.splits(seed), Row()
    rising = job.method == "classical-start"
    every = job.method in ("v-cycle", "other-padding", "spectral", "spectral-own")
    for boundary in mg.BOUNDARIES if every and seed != TUNING_SEED else ("dirichlet",):
        name = "" if boundary == "dirichlet" else f"{boundary}-"
        train = splits["rising-train" if rising else f"{name}train"]
        with seeded(seed):
            net = linear(s, job.method, boundary)
        trained(s, net, train.x, train.y, lr, seed)
        tests = FALLING if boundary == "dirichlet" else (boundary,)
        with torch.no_grad():
            final |= {t: mg.relative(net(splits[t].x), splits[t].y).item() for t in tests}
        if boundary == "dirichlet":
            final["rate"] = rate(s, net)
    final["error"] = final["rising" if rising else "test"]
    return {key: round(value, 5) for key, value in final.items()}, []


def run_elliptic(job: Job) -> Outcome:
    """Run one method with all its seeds."""
    return compared(job, on_elliptic, linear(job.setting, job.method, "dirichlet"))


# Darcy's problem: what is learned is not linear.


@dataclass(frozen=True, kw_only=True)
class Darcy(Fitting):
    """Learn a -> u of -div(a grad u) = 1, u = 0 on the boundary, where a is 3 or 12.

    Attributes
    ----------
    layers : int
        Of MgNO.
    """

    train: int = 40
    test: int = 60
    steps: int = 200
    batch_size: int = 5
    rates: tuple[float, ...] = (0.01,)
    layers: int = 3
    methods: tuple[str, ...] = ("mgno", "fno", "unet", "local")
    looks: int = 5


@cache
def draw_darcy(setting: Darcy, seed: int) -> Mapping[str, Samples]:
    """Return ``train``, ``test`` and ``fine``, which is ``test`` on a grid twice as fine.

    All is solved on the fine one. a is -1 or 1, and the mean square of the training u is one.
    """
    n, count = 2 * setting.n + 1, setting.train + setting.test
    noise = np.random.default_rng(seed).normal(size=(count, n + 2, n + 2))
    a = mg.coefficients(noise)
    u = np.stack([mg.darcy(one) for one in a])
    x, u = np.sign(a - 7.5)[:, 1:-1, 1:-1], u / np.sqrt(np.square(u[: setting.train]).mean())
    parts = {"train": slice(setting.train), "test": slice(setting.train, None)}
    splits = {
        k: Samples(tensor(x[p, 1::2, 1::2]), tensor(u[p, 1::2, 1::2])) for k, p in parts.items()
    }
    splits["fine"] = Samples(tensor(x[parts["test"]]), tensor(u[parts["test"]]))
    source = f"Darcy's problem, {setting.n} x {setting.n} points, drawn"
    return {name: Samples(part.x, part.y, source) for name, part in splits.items()}


def nonlinear(setting: Darcy, method: str, seed: int) -> nn.Module:
    """Return a network from a to u: all have 18,000 to 20,000 numbers at the usual size."""
    others: dict[str, Callable[[], nn.Module]] = {
        "fno": partial(FNO, 8, 5, 3),
        "unet": partial(UNet, 13, setting.levels),
    }
    if method not in others:
        net = mg.network(7, setting.layers, setting.cycle, seed, residual=False)  # as released
        if method != "local":
            return net
        others["local"] = partial(Apart, net[:-1], 7)
    with seeded(seed):
        return others[method]()


@torch.no_grad()
def error(net: nn.Module, part: Samples) -> float:
    """Return the mean relative error of a network's last answer."""
    return mg.relative(net(part.x)[:, -1:], part.y).item()


@torch.no_grad()
def by_the_coarse_grid(net: nn.Module, part: Samples) -> float:
    """Return the error on a fine grid, of the answer on every second point, interpolated."""
    coarse = F.pad(net(part.x[..., 1::2, 1::2])[:, -1:], (1, 1, 1, 1))  # with the boundary
    size = part.x.shape[-1] + 2
    fine = F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)
    return mg.relative(fine[..., 1:-1, 1:-1], part.y).item()


def on_darcy(job: Job, lr: float, seed: int) -> tuple[Row, list[Row]]:
    """Train one network; its errors on what it has seen, on new a, and on the finer grid."""
    s: Darcy = job.setting
    splits, rows = job.splits(seed), []
    net = nonlinear(s, job.method, seed)

    def look(step: int) -> None:
        if step % (s.steps // s.looks) == 0:
            found = {name: round(error(net, splits[name]), 5) for name in ("train", "test")}
            rows.append({"step": step} | found)

    train = splits["train"]
    trained(s, net, train.x, train.y, lr, seed, look)
    final = rows[-1] | {
        "gap": rows[-1]["test"] / rows[-1]["train"],
        "fine": error(net, splits["fine"]),
        "coarse_first": by_the_coarse_grid(net, splits["fine"]),
        "error": rows[-1]["test"],
    }
    if job.method == "local":
        with torch.no_grad():
            out = net(splits["test"].x)
        each = [mg.relative(out[:, k : k + 1], splits["test"].y).item() for k in range(s.layers)]
        final |= {f"layer_{k}": value for k, value in enumerate(each, start=1)}
    return {k: round(v, 5) for k, v in final.items()}, rows


def run_darcy(job: Job) -> Outcome:
    """Run one method with all its seeds."""
    return compared(job, on_darcy, nonlinear(job.setting, job.method, 0))


_QUICK: dict[str, Any] = {
    "seeds": 2,
    "n": 15,
    "levels": 3,
    "train": 40,
    "test": 20,
    "rates": (0.01,),
}
MULTIGRID = Experiment(
    {
        "quick": Elliptic(
            methods=("v-cycle", "other-padding", "spectral", "one-level"), steps=60, **_QUICK
        ),
        "cpu": Elliptic(),
    },
    run_elliptic,
    draw=draw_elliptic,
)
"""The operator of an elliptic problem, under three boundary conditions."""

MULTIGRID_DARCY = Experiment(
    {"quick": Darcy(methods=("mgno", "fno"), steps=60, layers=2, **_QUICK), "cpu": Darcy()},
    run_darcy,
    draw=draw_darcy,
)
"""The operator from a coefficient to a solution."""
