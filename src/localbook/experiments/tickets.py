"""Lottery tickets: accuracy, and the distance of the dual polytope, as weights are pruned away."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Row
from localbook.data import ImageSet
from localbook.errors import TrainingError
from localbook.experiments.harness import Experiment, Job, Outcome, keep_rows, kept_rows
from localbook.progress import Progress
from localbook.tropical import (
    Pruning,
    ReLUNetwork,
    Round,
    dual_distance,
    dual_polytope,
    initial_network,
    iterative_pruning,
)
from localbook.tropical.tickets import (
    Initialisation,
    Method,
    Scope,
    Trainer,
    Training,
    accuracy,
    ticket_trainer,
)

_TUNING_SEED = 9000  # never one of the seeds that are reported
_FRESH = 1000  # reinit's weights for round k have the seed + 1000 k

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class TicketSetting:
    """Lottery tickets at one profile.

    Attributes
    ----------
    data : str
    seeds : int
    methods : tuple of str
        What each round starts from: see :class:`localbook.tropical.Pruning`.
    initialisations : tuple of str
        Each method is run with all of them.
    hidden : int
        Neurons of the one hidden layer.
    rate, rounds, scope
        As in :class:`localbook.tropical.Pruning`.
    epochs, batch_size : int
        Of every round's training.
    rates : tuple of float
        Learning rates tried for the dense network of each initialisation; all methods share them.
    """

    data: str
    seeds: int
    methods: tuple[Method, ...]
    initialisations: tuple[Initialisation, ...]
    hidden: int
    rate: float
    rounds: int
    scope: Scope
    epochs: int
    batch_size: int
    rates: tuple[float, ...]


def prune_and_compare(job: Job) -> Outcome:
    """Prune networks of every initialisation and seed by one method."""
    sets = _normalised(job)
    tuning: list[Row] = []
    chosen: Row = {}
    history: list[Row] = []
    final: list[Row] = [{"seed": seed} for seed in job.seeds]
    for initialisation in job.setting.initialisations:
        trials = _tune(job, initialisation, sets)
        best = max(trials, key=lambda trial: trial["val_accuracy"])
        chosen[initialisation] = best["candidate"]["lr"]
        tuning += trials
        for row, seed in zip(final, job.seeds, strict=True):
            rounds = _prune(job, initialisation, seed, chosen[initialisation], sets)
            row[f"{initialisation}_dense"] = rounds[0]["test_accuracy"]
            row[f"{initialisation}_sparse"] = rounds[-1]["test_accuracy"]
            history += rounds
    for row in final:
        sparse = [row[f"{i}_sparse"] for i in job.setting.initialisations]
        row["test_accuracy"] = round(float(np.mean(sparse)), 6)
    return Outcome(
        history=history,
        final=final,
        chosen=chosen,
        tuning=tuning,
        parameters=_parameters(_start(job, job.setting.initialisations[0], 0)),
        wall_s=sum(row["seconds"] for row in history),
    )


def _normalised(job: Job) -> dict[str, Labelled]:
    """Return every split as flat images (N, pixels), normalised as the train split, and labels."""
    stats = job.sets["train"].channel_stats()
    return {split: _flat(images, *stats) for split, images in job.sets.items()}


def _flat(images: ImageSet, mean: list[float], std: list[float]) -> Labelled:
    centre, spread = (np.array(values, dtype=np.float32)[:, None, None] for values in (mean, std))
    scaled = (images.images / np.float32(255) - centre) / spread
    flat: NDArray[np.float32] = scaled.astype(np.float32).reshape(len(images), -1)
    return flat, np.array(images.labels)


def _start(job: Job, initialisation: Initialisation, seed: int) -> ReLUNetwork:
    images = job.sets["train"]
    inputs = int(np.prod(images.images.shape[1:]))
    widths = (inputs, job.setting.hidden, len(images.class_names))
    return initial_network(widths, initialisation, seed)


def _parameters(network: ReLUNetwork) -> int:
    return sum(w.size + b.size for w, b in zip(network.weights, network.biases, strict=True))


def _trainer(job: Job, lr: float, seed: int, sets: dict[str, Labelled]) -> Trainer:
    training = Training(lr, job.setting.epochs, job.setting.batch_size)
    return ticket_trainer(*sets["train"], training, seed, device=job.device)


def _tune(job: Job, initialisation: Initialisation, sets: dict[str, Labelled]) -> list[Row]:
    """Judge the learning rates by the dense network, which all methods have in common."""
    path = job.partial / f"{initialisation}-tuning.json"
    if kept := kept_rows(path, job):
        return kept
    pruning = Pruning(job.setting.rate, rounds=1, scope=job.setting.scope)
    rows: list[Row] = []
    with Progress(f"{job.method} {initialisation} tuning", len(job.setting.rates), "trial") as bar:
        for lr in job.setting.rates:
            trainer = _trainer(job, lr, _TUNING_SEED, sets)
            start = _start(job, initialisation, _TUNING_SEED)
            try:
                dense = next(iterative_pruning(start, trainer, pruning))
                score = round(accuracy(dense.network, *sets["val"]), 6)
            except TrainingError:  # a candidate that diverges has lost
                score = 0.0
            candidate = {"initialisation": initialisation, "lr": lr}
            rows.append({"candidate": candidate, "val_accuracy": score, "seed": _TUNING_SEED})
            bar.at(len(rows), f"accuracy {score:.3f}")
    keep_rows(path, job, rows)
    return rows


def _prune(
    job: Job,
    initialisation: Initialisation,
    seed: int,
    lr: float,
    sets: dict[str, Labelled],
) -> list[Row]:
    """Return a row for every round, from the unfinished work if they are there."""
    path = job.partial / f"{initialisation}-seed{seed}.json"
    if kept := kept_rows(path, job):
        return kept
    setting = job.setting
    rounds = iterative_pruning(
        _start(job, initialisation, seed),
        _trainer(job, lr, seed, sets),
        Pruning(setting.rate, setting.rounds, setting.scope, cast(Method, job.method)),
        lambda number: _start(job, initialisation, seed + _FRESH * number),
    )
    rows = []
    with Progress(f"{job.method} {initialisation} seed {seed}", setting.rounds, "round") as bar:
        for row in _measured(rounds, sets):
            rows.append({"seed": seed, "initialisation": initialisation} | row)
            bar.at(row["round"], f"{row['left']:.1%} left, accuracy {row['val_accuracy']:.3f}")
    keep_rows(path, job, rows)
    return rows


def _measured(rounds: Iterator[Round], sets: dict[str, Labelled]) -> Iterator[Row]:
    """Yield what is recorded of each round: bounds on distances, and accuracies."""
    dense = None
    started = time.perf_counter()
    for this in rounds:
        seconds = time.perf_counter() - started
        polytope = dual_polytope(this.network)
        dense = polytope if dense is None else dense
        yield {
            "round": this.number,
            "left": round(this.left, 6),
            "val_accuracy": round(accuracy(this.network, *sets["val"]), 6),
            "test_accuracy": round(accuracy(this.network, *sets["test"]), 6),
            "distance": [round(d, 6) for d in dual_distance(dense, polytope).relative],
            "shape": [
                round(d, 6) for d in dual_distance(dense, polytope, up_to_scale=True).relative
            ],
            "seconds": round(seconds, 3),
        }
        started = time.perf_counter()


_METHODS: tuple[Method, ...] = ("rewind", "reinit", "finetune")
_ALL: tuple[Initialisation, ...] = ("default", "xavier", "he", "gaussian")

LOTTERY_TICKETS = Experiment(
    {
        "quick": TicketSetting(
            data="digits",
            seeds=2,
            methods=_METHODS,
            initialisations=("he",),
            hidden=16,
            rate=0.5,
            rounds=4,
            scope="global",
            epochs=10,
            batch_size=64,
            rates=(0.01,),
        ),
        "cpu": TicketSetting(
            data="mnist",
            seeds=3,
            methods=_METHODS,
            initialisations=("xavier", "he", "gaussian"),
            hidden=100,
            rate=0.4,
            rounds=6,  # 5 % of the weights are left
            scope="global",
            epochs=5,
            batch_size=128,
            rates=(0.0005, 0.002, 0.008),
        ),
        "gpu": TicketSetting(
            data="mnist",
            seeds=5,
            methods=_METHODS,
            initialisations=_ALL,
            hidden=300,
            rate=0.2,
            rounds=20,  # 1 % of the weights is left
            scope="global",
            epochs=20,
            batch_size=128,
            rates=(0.0003, 0.001, 0.003, 0.01),
        ),
    },
    prune_and_compare,
)
"""On MNIST, or any image set that is named instead."""

LOTTERY_TICKETS_DIGITS = Experiment(
    {
        "quick": LOTTERY_TICKETS.profiles["quick"],
        "cpu": TicketSetting(
            data="digits",
            seeds=3,
            methods=_METHODS,
            initialisations=("default", "xavier"),
            hidden=64,
            rate=0.3,
            rounds=9,  # 4 % of the weights are left
            scope="global",
            epochs=30,
            batch_size=64,
            rates=(0.0005, 0.002, 0.008),
        ),
    },
    prune_and_compare,
)
"""On the digits, which need no download."""
