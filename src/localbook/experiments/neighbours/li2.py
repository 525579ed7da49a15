"""Hidden units under an energy: thresholds, decay, and optimisers, for the neighbour Li_2."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

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

li2 = neighbours.li2


@dataclass(frozen=True)
class Li2:
    """What is measured, and how large it is.

    Attributes
    ----------
    M, K : int
        Of the runs with and without decay: the modulus, and hidden units.
    share : float
        Of all pairs, what they are trained on.
    lr, eta : float
        Adam's learning rate, and its weight decay, which is added to the gradient.
    epochs, every : int
        Steps on all of these pairs at once, and after how many to look.
    sizes, larger : tuple of int
        The M of all thresholds, and others of those that need no training.
    width : int
        Hidden units of the trainings for thresholds.
    halvings : int
        How often the shares from 0.1 to 0.8, one of which is a threshold, are halved.
    units : tuple of int
        Few hidden units, for Adam beside Muon, at the modulus M and four fifths of the pairs.
    rates : tuple of float
        Candidates for W's learning rate there; V has Adam at ``lr`` with both.
    seeds, methods
        How many, and which of those below.
    """

    M: int = 23
    K: int = 400
    share: float = 0.6
    lr: float = 0.005
    eta: float = 2e-4
    epochs: int = 600
    every: int = 20
    sizes: tuple[int, ...] = (13, 19, 29, 41, 59)
    larger: tuple[int, ...] = (83, 113)
    width: int = 256
    halvings: int = 4
    units: tuple[int, ...] = (12, 16, 20, 24)
    rates: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1)
    seeds: int = 10
    methods: tuple[str, ...] = (
        *("decay", "no-decay", "zero-init"),
        *("kept", "boundary", "large-lr"),
        *("adam", "muon"),
    )

    def __post_init__(self) -> None:
        if min(self.K, self.width, self.every, self.epochs // 4, self.halvings, *self.units) < 1:
            raise ConfigError(
                "K, width, every, halvings and units must be positive, and epochs at least 4."
            )
        if self.M < 3 or min(self.sizes) < 5 or not 0 < self.share < 1 or self.eta < 0:
            raise ConfigError(
                f"M={self.M}, sizes={self.sizes}, share={self.share}, eta={self.eta}: give M of 3 "
                "or more, sizes of 5 or more, a share between 0 and 1, and no negative decay."
            )


def draw(setting: Li2, seed: int) -> dict[str, Samples]:
    """Return the splits of the runs with and without decay."""
    return li2.sample(setting.M, setting.share, seed)


def threshold(value: Callable[[float], float], halvings: int) -> tuple[float, list[Row]]:
    """Return the share of pairs at which ``value`` passes one half, and the shares it looked at."""
    low, high, rows = 0.1, 0.8, []
    for _ in range(halvings):
        share = (low + high) / 2
        rows.append({"share": share, "value": round(value(share), 4)})
        low, high = (low, share) if rows[-1]["value"] > 0.5 else (share, high)
    return (low + high) / 2, rows


def generalises(setting: Li2, M: int, seed: int, share: float, *, faster: int = 1) -> float:
    """Return the test accuracy of a network after lr × epochs as set, in fewer and larger steps."""
    splits = li2.sample(M, share, seed)
    net = li2.Net(M, setting.width, seed)
    rows = li2.train(
        net,
        splits,
        lr=setting.lr * faster,
        eta=setting.eta,
        epochs=setting.epochs // faster,
    )
    return float(rows[-1]["test"])


def few_units(job: Job, K: int, rate: float, seed: int) -> Row:
    """Train K hidden units with the optimiser that the method is called by."""
    optimiser = {"adam": li2.adam, "muon": li2.Muon}[job.method]
    s = job.setting
    return li2.train(
        li2.Net(s.M, K, seed),
        li2.sample(s.M, 0.8, seed),
        optimiser=optimiser,
        lr=s.lr,
        eta=s.eta,
        epochs=s.epochs,
        rate=rate,
    )[-1]


def first(rows: list[Row], key: str) -> int | None:
    """Return the first epoch at which an accuracy is 0.99 or more; None if it never was."""
    return next((row["epoch"] for row in rows if row[key] >= 0.99), None)


def measured(job: Job, chosen: Mapping[int, float], seed: int) -> tuple[Row, list[Row]]:
    """Return the final row of one method and seed, and its history."""
    s: Li2 = job.setting
    if job.method in ("adam", "muon"):
        found = [{"units": K, **few_units(job, K, chosen[K], seed)} for K in s.units]
        return {f"test_{row['units']}": row["test"] for row in found}, found
    if job.method in ("kept", "boundary", "large-lr"):
        final, history = {}, []
        for M in (*s.sizes, *s.larger) if job.method == "kept" else s.sizes:
            faster = 4 if job.method == "large-lr" else 1
            value: Callable[[float], float] = partial(generalises, s, M, seed, faster=faster)
            if job.method == "kept":
                value = partial(li2.kept, M, seed=seed)
            final[f"share_{M}"], rows = threshold(value, s.halvings)
            history += [{"M": M} | row for row in rows]
        return final, history
    net = li2.Net(s.M, s.K, seed, zero=job.method == "zero-init")
    eta = 0.0 if job.method == "no-decay" else s.eta
    rows = li2.train(net, job.splits(seed), lr=s.lr, eta=eta, epochs=s.epochs, every=s.every)
    final = {"test_accuracy": rows[-1]["test"], "train_accuracy": rows[-1]["train"]}
    return final | {"fitted": first(rows, "train"), "general": first(rows, "test")}, rows


def run(job: Job) -> Outcome:
    """Run one method with all its seeds; each optimiser's rate is chosen first, for each width."""
    s, chosen, tuning = job.setting, {}, []
    for K in s.units if job.method in ("adam", "muon") else ():
        candidates = [{"units": K, "rate": rate} for rate in s.rates]
        best, rows = tune(
            job,
            candidates,
            lambda c: np.mean(
                [few_units(job, c["units"], c["rate"], TUNING_SEED + i)["test"] for i in range(3)]
            ).item(),
            name=f"{K}-",
        )
        chosen[K] = best["rate"]
        tuning += rows
    rates = {str(K): rate for K, rate in chosen.items()}
    return seed_by_seed(job, partial(measured, job, chosen), rates, tuning)


LI2 = Experiment(
    {
        "quick": Li2(
            epochs=400,
            sizes=(11, 19),
            larger=(),
            width=64,
            halvings=3,
            units=(20,),
            rates=(0.02, 0.05),
            seeds=2,
        ),
        "cpu": Li2(),
    },
    run,
    draw=draw,
)
"""At ``cpu`` ten seeds of moduli up to 113."""
