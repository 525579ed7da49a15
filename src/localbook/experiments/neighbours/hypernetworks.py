"""Hypernetworks that read turned digits: encoding, residual, start and optimiser, each alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Row
from localbook.errors import ConfigError, TrainingError
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
from localbook.fit import mlp

hyper = neighbours.hypernetworks


@dataclass(frozen=True)
class Way:
    """How a hypernetwork is made and trained.

    Attributes
    ----------
    optimiser, start, encoding, residual
        As in :mod:`localbook.neighbours.hypernetworks`.
    blind : bool
        A control: only θ_0 is trained, which is one network for all γ.
    """

    optimiser: str
    start: str
    encoding: str
    residual: bool = False
    blind: bool = False


PARTS = {
    "default": ("raw", False),
    "encoding": ("cos-sin", False),
    "residual": ("raw", True),
    "mip": ("cos-sin", True),
}
METHODS: Mapping[str, Way] = {
    **{
        f"{optimiser}-{start}-{name}": Way(optimiser, start, *part)
        for optimiser in hyper.OPTIMISERS
        for start in hyper.STARTS
        for name, part in PARTS.items()
    },
    **{
        f"sgd-hyperfan-{encoding}": Way("sgd", "hyperfan", encoding)
        for encoding in ("two-sided", "centred", "shifted")
    },
    **{f"{o}-blind": Way(o, "fan-out", "raw", True, blind=True) for o in hyper.OPTIMISERS},
}
"""All four combinations from each start with each optimiser, and the controls."""


@dataclass(frozen=True)
class HyperSetting:
    """A primary network for digits that are turned by up to 90°, at one profile.

    Attributes
    ----------
    angles : int
        Values of γ from 0 to 1.
    rounds : int
        Of training; each has one step for every γ.
    widths, hidden : tuple of int
        Hidden neurons of the primary network, and of the hypernetwork.
    rates : mapping of optimiser to its learning rates
        Among which every method chooses, by validation.
    """

    seeds: int
    methods: tuple[str, ...] = (*METHODS, "hyperlight")
    data: str = "digits"
    angles: int = 9
    rounds: int = 50
    batch_size: int = 64
    widths: tuple[int, ...] = (32, 32)
    hidden: tuple[int, ...] = (16, 32)
    sgd_rates: tuple[float, ...] = (1e-3, 1e-2, 1e-1)
    adam_rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


def turned(job: Job, split: str) -> tuple[Tensor, Tensor]:
    """Return a split's images at every angle, (G, N, n), as f takes them, and labels (N,)."""
    mean, std = (float(stat[0]) for stat in job.sets["train"].channel_stats())
    images = torch.from_numpy(job.sets[split].images).float() / 255
    x = (hyper.turned(images, job.setting.angles).flatten(2) - mean) / std
    return x, torch.from_numpy(job.sets[split].labels)


def networks(job: Job, way: Way, seed: int) -> tuple[Any, nn.Sequential]:
    """Return h and f of a method before training."""
    setting, images = job.setting, job.sets["train"]
    sizes = (images.images[0].size, *setting.widths, len(images.class_names))
    f = mlp(sizes, seed, activation=nn.LeakyReLU)
    h = hyper.HyperNetwork(
        f,
        seed,
        hidden=setting.hidden,
        encoding=way.encoding,
        start=way.start,
        residual=way.residual,
    )
    if way.blind:
        h.requires_grad_(False)
        h.last.weight.zero_()
        h.last.bias.requires_grad_()
    return h, f


def trained(job: Job, way: Way, h: Any, f: nn.Module, lr: float, seed: int) -> tuple[Any, bool]:
    """Train h; return the losses, and whether they have stayed finite."""
    setting = job.setting
    try:
        losses = hyper.train(
            h,
            f,
            *turned(job, "train"),
            rounds=setting.rounds,
            batch_size=setting.batch_size,
            lr=lr,
            seed=seed,
            optimiser=way.optimiser,
        )
    except TrainingError:
        return np.full((setting.rounds, setting.angles), np.inf), False
    return losses, True


def measured(job: Job, way: Way, lr: float, seed: int) -> tuple[Row, list[Row]]:
    """Train one seed: what it reaches, and one row of lists, by γ and by three rounds each."""
    h, f = networks(job, way, seed)
    gammas, angles = hyper.grid(job.setting.angles), job.setting.angles
    pull = np.zeros(0) if way.blind else hyper.gradient_norms(h, f, *turned(job, "train"))
    start = h.flat(gammas).detach().norm(dim=1)
    losses, finite = trained(job, way, h, f, lr, seed)
    end = h.flat(gammas).detach().norm(dim=1)
    found = hyper.accuracies(h, f, *turned(job, "test"))
    curve = losses.mean(axis=1)[: len(losses) // 3 * 3].reshape(-1, 3).mean(axis=1)
    return {
        "finite": finite,
        "test_accuracy": round(found.mean(), 4),
        "test_at_zero": round(found[0], 4),
        "test_beyond_zero": round(found[1:].mean(), 4),
        **steps(losses, angles, "steps"),
        **steps(losses[:, 1:], angles, "steps_beyond_zero"),
        "last_loss": round(float(losses[-11:].mean()), 4) if finite else None,
    }, [
        {
            "norm_start": [round(value, 2) for value in start.tolist()],
            "norm_end": [round(value, 2) for value in end.tolist()] if finite else None,
            "gradient": [significant(value, 3) for value in pull],
            "test_accuracy": [round(value, 3) for value in found.tolist()],
            "losses": [round(value, 3) for value in curve.tolist()] if finite else None,
        }
    ]


def steps(losses: Any, angles: int, name: str) -> Row:
    """Return after how many steps a mean loss of 0.5 was reached; if never, all there were."""
    means = np.convolve(losses.mean(axis=1), np.ones(5) / 5, mode="valid")  # of five rounds
    below = np.flatnonzero(means < 0.5)
    rounds = int(below[0]) + 5 if len(below) else len(losses)
    return {name: angles * rounds, f"{name}_reached": len(below) > 0}


class Package(nn.Module):
    """The authors' hypernetwork with the weights of ours, called as ours is."""

    def __init__(self, h: Any) -> None:
        super().__init__()
        try:
            package: Any = import_module("hyperlight")
        except ModuleNotFoundError:
            raise ConfigError("the method hyperlight needs it: pip install hyperlight.") from None
        hidden = [layer.out_features for layer in h.hidden[::2]]
        self.theirs = package.HyperNet({"gamma": (1,)}, h.shapes, hidden)
        with torch.no_grad():
            for its, ours in zip(self.theirs.parameters(), h.parameters(), strict=True):
                its.copy_(ours)

    def forward(self, gamma: Tensor) -> dict[str, Tensor]:
        """Return the primary's weights by name."""
        found: dict[str, Tensor] = self.theirs(gamma=gamma)
        return found


def beside(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Compare MIP with the package from the same weights: θ at the start, losses, accuracy."""
    way, lr = METHODS["sgd-fan-out-mip"], 0.01
    h, f = networks(job, way, seed)
    both = (h, Package(h))
    with torch.no_grad():
        thetas = [[net(gamma) for gamma in hyper.grid(job.setting.angles)] for net in both]
    apart = max(
        (one[name] - other[name]).abs().max().item()
        for one, other in zip(*thetas, strict=True)
        for name in h.shapes
    )
    ours, theirs = (trained(job, way, net, f, lr, seed)[0] for net in both)
    found = [hyper.accuracies(net, f, *turned(job, "test")).mean() for net in both]
    return {
        "theta_apart": apart,
        "losses_apart": float(np.abs(ours - theirs).max()),
        "test_accuracy": round(found[0], 4),
        "package_accuracy": round(found[1], 4),
    }, []


def run(job: Job) -> Outcome:
    """Choose a rate on the validation split, and train every seed with it."""
    if job.method == "hyperlight":
        return seed_by_seed(job, partial(beside, job))
    way, setting = METHODS[job.method], job.setting
    rates = {"sgd": setting.sgd_rates, "adam": setting.adam_rates}[way.optimiser]

    def judged(candidate: Row) -> float:
        h, f = networks(job, way, TUNING_SEED)
        _, finite = trained(job, way, h, f, candidate["lr"], TUNING_SEED)
        found = hyper.accuracies(h, f, *turned(job, "val")).mean()
        return round(float(found), 4) if finite else 0.0

    best, tuning = tune(job, [{"lr": lr} for lr in rates], judged)
    count = sum(w.numel() for w in networks(job, way, 0)[0].parameters())
    return seed_by_seed(job, partial(measured, job, way, best["lr"]), best, tuning, count)


HYPERNETWORKS = Experiment(
    {
        "quick": HyperSetting(
            seeds=2,
            methods=("sgd-fan-out-default", "sgd-fan-out-mip", "sgd-hyperfan-default"),
            rounds=20,
            widths=(24, 24),
            hidden=(8, 16),
            sgd_rates=(1e-2,),
            images=(300, 100, 200),
        ),
        "cpu": HyperSetting(seeds=10),
    },
    run,
    prepare=fewer_images,
)
"""At ``cpu`` all digits; the method ``hyperlight`` needs the package of that name."""
