"""Recurrent networks pruned and trained on: which part, by which mask, and beside which rules."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from localbook import neighbours, tropical
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
from localbook.fit import accuracy, fit, mlp

sparse = neighbours.sparse_rnn


@dataclass(frozen=True)
class Pruned:
    """Cells of one layer on strings, trained, pruned, and trained on.

    Attributes
    ----------
    seeds, methods
        How many, and which cells.
    longest, train, val, test : int
        Letters of a string, and strings.
    hidden : int
        Units, and numbers that stand for a letter.
    epochs, more : int
        Of dense training, and of training on after pruning.
    rates : tuple of float
        Candidates of the learning rate, by validation; training on has the same.
    shares, controls : tuple of float
        Of the weights, what goes; and at which of these the controls are run. New weights in what
        is left are trained at the last of these only, as long as the dense network was.
    """

    seeds: int = 10
    methods: tuple[str, ...] = ("tanh", "relu", "gru", "lstm")
    longest: int = 24
    train: int = 2000
    val: int = 500
    test: int = 1000
    hidden: int = 32
    epochs: int = 20
    more: int = 3
    batch_size: int = 64
    rates: tuple[float, ...] = (0.003, 0.01)
    shares: tuple[float, ...] = (0.6, 0.7, 0.8, 0.9)
    controls: tuple[float, ...] = (0.7, 0.9)

    def __post_init__(self) -> None:
        if not set(self.controls) <= set(self.shares) or not all(0 < s < 1 for s in self.shares):
            raise ConfigError(
                f"shares={self.shares}, controls={self.controls}: give shares between 0 and 1, and "
                "controls that are among them."
            )


def draw(setting: Pruned, seed: int) -> Mapping[str, Samples]:
    """Return the splits of one seed."""
    counts = {split: getattr(setting, split) for split in ("train", "val", "test")}
    return sparse.draw(counts, setting.longest, seed)


def without_order(train: Samples, test: Samples) -> Row:
    """Return the accuracies of what knows pairs only: which there are, and how often each."""
    x, new = (sparse.pair_counts(part.x) for part in (train, test))
    unseen = x[train.y == 1].sum(0) == 0
    right = ~(new[:, unseen] > 0).any(1)
    table = fit(mlp((x.shape[1], 2), 0), x, train.y, epochs=60, batch_size=64, lr=0.01, seed=0)
    return {
        "pairs": round((right == (test.y == 1)).double().mean().item(), 4),
        "pair_counts": round(accuracy(table, new, test.y), 4),
    }


def pieces(net: Any) -> int:
    """Return how many linear pieces a ReLU cell has on the square between four strings."""
    square = sparse.unrolled(net, sparse.encoded(sparse.CORNERS[:3], 20))
    return tropical.count_regions(square, ((0.0, 1.0), (0.0, 1.0)))


def measured(job: Job, lr: float, seed: int) -> tuple[Row, list[Row]]:
    """Train a seed's network, and prune and train it on in all ways: a row for each."""
    s: Pruned = job.setting
    splits, rng = job.splits(seed), np.random.default_rng([seed, 1])
    train, test = splits["train"], splits["test"]
    how: Row = {"batch_size": s.batch_size, "lr": lr, "seed": seed}
    net = sparse.Network(job.method, s.hidden, seed, embedding=s.hidden)
    curve = sparse.train(net, train, test, epochs=s.epochs, **how)
    rows: list[Row] = []
    framed = sparse.frames(test)

    def pruned(part: str, mask: str, share: float) -> None:
        other = deepcopy(net)
        weights = other.matrices(part)
        kept = sparse.masks(weights, share, rng if mask == "random" else None)
        epochs = s.more
        if mask == "fresh":
            start = sparse.Network(net.cell, s.hidden, seed + 1000, embedding=s.hidden)
            other.load_state_dict(start.state_dict())
            epochs = s.epochs
        with torch.no_grad():
            for weight in weights:
                weight.mul_(kept[weight])
        row: Row = {"part": part, "mask": mask, "share": share}
        counted = net.cell == "relu" and part == "both" and mask in ("none", "magnitude")
        before = [pieces(other)] if counted else []
        remembers = [accuracy(other, framed.x, framed.y)]
        found = sparse.train(other, train, test, epochs=epochs, kept=kept, **how)
        if counted:
            row["pieces"] = [*before, pieces(other)]
        remembers.append(accuracy(other, framed.x, framed.y))
        row["frame"] = [round(value, 4) for value in remembers]
        rows.append(row | {"test": [round(value, 4) for value in found]})

    pruned("both", "none", 0.0)
    for share in s.shares:
        pruned("both", "magnitude", share)
    for share in s.controls:
        for part, mask in CONTROLS:
            pruned(part, mask, share)
    pruned("both", "fresh", s.controls[-1])
    final = {"test_accuracy": round(curve[-1], 4)} | without_order(train, test)
    return final, [{"part": "both", "mask": "dense", "test": [round(v, 4) for v in curve]}, *rows]


CONTROLS = (("both", "random"), ("input", "magnitude"), ("recurrent", "magnitude"))
"""What is pruned, and how: weights are chosen by chance or by size."""


def run(job: Job) -> Outcome:
    """Choose a rate for the dense network on the validation split, and measure every seed."""
    s: Pruned = job.setting
    splits = draw(s, TUNING_SEED)

    def judged(candidate: Row) -> float:
        net = sparse.Network(job.method, s.hidden, TUNING_SEED, embedding=s.hidden)
        how: Row = {"epochs": s.epochs, "batch_size": s.batch_size, "seed": TUNING_SEED}
        found = sparse.train(net, splits["train"], splits["val"], lr=candidate["lr"], **how)
        return round(found[-1], 4)

    best, tuning = tune(job, [{"lr": lr} for lr in s.rates], judged)
    return seed_by_seed(job, partial(measured, job, best["lr"]), best, tuning)


SPARSE_RNN = Experiment(
    {
        "quick": Pruned(
            seeds=1,
            methods=("relu",),
            train=600,
            test=200,
            hidden=16,
            epochs=4,
            more=1,
            rates=(0.01,),
            shares=(0.6, 0.9),
            controls=(0.9,),
        ),
        "cpu": Pruned(),
    },
    run,
    draw=draw,
)
"""At ``cpu`` four cells."""
