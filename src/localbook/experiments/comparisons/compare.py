"""Comparing learning rules: tune each on the validation split, then train several seeds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import TrainingError
from localbook.experiments.harness import Job, Outcome, Setting
from localbook.local import (
    IsolatedNetwork,
    Rule,
    Schedule,
    accuracy,
    figures,
    train,
)
from localbook.progress import Progress

_TUNING_SEED = 9000  # never one of the seeds that are reported
_TEST_BATCH = 512

Candidate = dict[str, float]


class ComparisonSetting(Setting, Protocol):
    """What :func:`compare` asks of an experiment's setting."""

    @property
    def schedule(self) -> Schedule:
        """Its ``lr`` stands only until tuning replaces it."""

    @property
    def tuning_epochs(self) -> int:
        """How long each candidate is trained before it is judged on the validation split."""

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return the hyper-parameters tried, as many for each method; a single one is not tuned."""

    def network(self, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
        """Return the network to train, with seeded weights, on the device of the images."""

    def rule(self, method: str, candidate: Candidate) -> Rule:
        """Return the learning rule."""


def _nothing(net: IsolatedNetwork, test: DeviceImages) -> Row:
    return {}


def compare(
    job: Job,
    measure: Callable[[IsolatedNetwork, DeviceImages], Row] = _nothing,
    how: Mapping[str, Any] | None = None,
) -> Outcome:
    """Tune one method, train it with every seed, test each once at the end.

    The job's setting is a :class:`ComparisonSetting`. What ``measure`` finds out about a trained
    network, given the test images, joins the seed's row of results; ``how`` goes to
    :func:`localbook.local.train`.
    """
    how = how or {}
    train_set = DeviceImages(job.sets["train"], job.device)
    val, test = (DeviceImages(job.sets[s], job.device, train_set.stats) for s in ("val", "test"))
    tuning = _tune(job, train_set, val, how)
    chosen: Candidate = max(tuning, key=lambda t: t["val_accuracy"])["candidate"]
    rule = job.setting.rule(job.method, chosen)
    history: list[Row] = []
    final: list[Row] = []
    peak = None
    for seed in job.seeds:
        net, rows, used = _train_one(job, chosen, seed, train_set, val, how)
        peak = max(peak or 0, used) if used is not None else None
        history += [{"seed": seed} | row for row in rows]
        scores = [round(a, 6) for a in accuracy(net, test.in_order(_TEST_BATCH)).tolist()]
        final.append(
            {
                "seed": seed,
                "test_accuracy": _own_accuracy(rule, net, test, scores[-1]),
                "test_accuracy_by_module": scores,
            }
            | {key: rows[-1][key] for key in ("discord", "cosine")}
            | {"val_accuracy": _own_accuracy(rule, net, val, rows[-1]["accuracy"][-1])}
            | measure(net.eval(), test)
        )
    return Outcome(
        history=history,
        final=final,
        chosen=chosen,
        tuning=tuning,
        parameters=sum(p.numel() for p in net.parameters()),
        wall_s=sum(row["seconds"] for row in history),
        peak_bytes=peak,
    )


def _tune(job: Job, data: DeviceImages, val: DeviceImages, how: Mapping[str, Any]) -> list[Row]:
    """Judge every candidate on the validation split; a single one needs no judging."""
    candidates = job.setting.tried(job.method)
    if len(candidates) == 1:
        return [{"candidate": candidates[0], "val_accuracy": 0.0}]
    schedule = replace(job.setting.schedule, epochs=job.setting.tuning_epochs)
    trial = replace(job, setting=replace(job.setting, schedule=schedule))
    rows = []
    for candidate in candidates:
        try:
            net, history, _ = _train_one(trial, candidate, _TUNING_SEED, data, val, how)
            rule = job.setting.rule(job.method, candidate)
            score = _own_accuracy(rule, net, val, history[-1]["accuracy"][-1])
        except TrainingError:  # a candidate that diverges has lost
            score = 0.0
        rows.append({"candidate": candidate, "val_accuracy": score, "seed": _TUNING_SEED})
    return rows


def _own_accuracy(rule: Rule, net: IsolatedNetwork, data: DeviceImages, by_head: float) -> float:
    """Return the accuracy of the rule's own classifier: the last head, unless it says so."""
    if not rule.classifies:
        return by_head
    net.eval()
    hits = [(rule.scores(net, x).argmax(1) == y).sum() for x, y in data.in_order(_TEST_BATCH)]
    return round(int(sum(hits)) / len(data.labels), 6)


def _train_one(
    job: Job,
    candidate: Candidate,
    seed: int,
    data: DeviceImages,
    val: DeviceImages,
    how: Mapping[str, Any],
) -> tuple[IsolatedNetwork, list[Row], int | None]:
    """Train one network; return it with its history and the peak of GPU memory."""
    device = data.labels.device
    net = job.setting.network(job.method, data, seed)
    rule = job.setting.rule(job.method, candidate)
    schedule = replace(job.setting.schedule, lr=candidate["lr"], cycles=rule.cycles(len(net)))
    name = "-".join(f"{key}{value:g}" for key, value in candidate.items()) + f"-seed{seed}"
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with Progress(f"{job.method} {name}", schedule.epochs, "epoch") as bar:
        rows = train(
            net,
            rule,
            data,
            val,
            schedule,
            seed=seed,
            checkpoint=job.partial / f"{name}.pt",
            on_epoch=lambda row: bar.at(row["epoch"], figures(row)),
            **how,
        )
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return net, rows, peak
