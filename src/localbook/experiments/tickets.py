"""Lottery tickets: accuracy, and the distance of the dual polytope, as weights are pruned away."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Row
from localbook.data import ImageSet
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    rows_once,
    tune,
)
from localbook.progress import Progress
from localbook.tropical import (
    Pruning,
    ReLUNetwork,
    Round,
    dual_distance,
    dual_distance_at,
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

_FRESH = 1000  # reinit's weights for round k have the seed + 1000 k

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class TicketSetting:
    """Lottery tickets at one profile.

    Attributes
    ----------
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
        # By the dense network, which all methods have in common.
        candidates = [{"initialisation": initialisation, "lr": lr} for lr in job.setting.rates]
        judge = partial(_dense_accuracy, job, sets)
        best, trials = tune(job, candidates, judge, name=initialisation)
        chosen[initialisation] = best["lr"]
        tuning += trials
        for row, seed in zip(final, job.seeds, strict=True):
            part = partial(_prune, job, initialisation, seed, best["lr"], sets)
            rounds = rows_once(job, f"{initialisation}-seed{seed}", part)
            row[f"{initialisation}_dense"] = rounds[0]["test_accuracy"]
            row[f"{initialisation}_sparse"] = rounds[-1]["test_accuracy"]
            history += rounds
    for row in final:
        sparse = [row[f"{i}_sparse"] for i in job.setting.initialisations]
        row["test_accuracy"] = round(float(np.mean(sparse)), 6)
    return Outcome(
        history=history,
        final=final,
        wall_s=sum(row["seconds"] for row in history),
        chosen=chosen,
        tuning=tuning,
        parameters=_parameters(_start(job, job.setting.initialisations[0], 0)),
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


def _dense_accuracy(job: Job, sets: dict[str, Labelled], candidate: Row) -> float:
    trainer = _trainer(job, candidate["lr"], TUNING_SEED, sets)
    start = _start(job, candidate["initialisation"], TUNING_SEED)
    pruning = Pruning(job.setting.rate, rounds=1, scope=job.setting.scope)
    dense = next(iterative_pruning(start, trainer, pruning))
    return round(accuracy(dense.network, *sets["val"]), 6)


def _prune(
    job: Job, initialisation: Initialisation, seed: int, lr: float, sets: dict[str, Labelled]
) -> list[Row]:
    """Return a row for every round."""
    setting = job.setting
    rounds = iterative_pruning(
        _start(job, initialisation, seed),
        _trainer(job, lr, seed, sets),
        Pruning(setting.rate, setting.rounds, setting.scope, cast(Method, job.method)),
        lambda number: _start(job, initialisation, seed + _FRESH * number),
        seed,
    )
    rows = []
    with Progress(f"{job.method} {initialisation} seed {seed}", setting.rounds, "round") as bar:
        for row in _measured(rounds, sets):
            rows.append({"seed": seed, "initialisation": initialisation} | row)
            bar.at(row["round"], f"{row['left']:.1%} left, accuracy {row['val_accuracy']:.3f}")
    return rows


def _measured(rounds: Iterator[Round], sets: dict[str, Labelled]) -> Iterator[Row]:
    """Yield what is recorded of each round: distances, also at the test images, and accuracies."""
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
            "at_images": round(dual_distance_at(dense, polytope, sets["test"][0]), 6),
            "seconds": round(seconds, 3),
        }
        started = time.perf_counter()


_METHODS: tuple[Method, ...] = ("rewind", "reinit", "finetune", "random")
_ALL: tuple[Initialisation, ...] = ("default", "xavier", "he", "gaussian")

_CPU = TicketSetting(
    data="mnist",
    seeds=10,
    methods=_METHODS,
    initialisations=("xavier", "he", "gaussian"),
    hidden=100,
    rate=0.4,
    rounds=6,  # 5 % of the weights are left
    scope="global",
    epochs=5,
    batch_size=128,
    rates=(0.0005, 0.002, 0.008),
)
_QUICK = replace(
    _CPU,
    data="digits",
    seeds=2,
    initialisations=("he",),
    hidden=16,
    rate=0.5,
    rounds=4,
    epochs=10,
    batch_size=64,
    rates=(0.01,),
)

LOTTERY_TICKETS = Experiment(
    {
        "quick": _QUICK,
        "cpu": _CPU,
        "gpu": replace(
            _CPU,
            seeds=5,
            initialisations=_ALL,
            hidden=300,
            rate=0.2,
            rounds=20,  # 1 % of the weights is left
            epochs=20,
            rates=(0.0003, 0.001, 0.003, 0.01),
        ),
    },
    prune_and_compare,
)
"""On MNIST, or any image set that is named instead."""

LOTTERY_TICKETS_DIGITS = Experiment(
    {
        "quick": _QUICK,
        "cpu": replace(
            _CPU,
            data="digits",
            initialisations=("default", "xavier"),
            hidden=64,
            rate=0.3,
            rounds=9,  # 4 % of the weights are left
            epochs=30,
            batch_size=64,
        ),
    },
    prune_and_compare,
)
"""On the digits, which need no download."""
