"""Comparing learning rules: tune each on the validation split, then train several seeds."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.experiments.comparisons.rules import RULES, RuleOf, by_name
from localbook.experiments.comparisons.setting import Candidate, Comparison
from localbook.experiments.harness import (
    TUNING_SEED,
    Job,
    Outcome,
    tune,
    with_threads_that_pay,
)
from localbook.local import IsolatedNetwork, Rule, accuracy, figures, train
from localbook.progress import Progress

_TEST_BATCH = 512
_THREE = by_name(RULES)

Network = Callable[[Comparison, str, DeviceImages, int], IsolatedNetwork]
"""From setting, method, training images and seed to the network, on the device of the images."""


def of_model(setting: Any, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
    """Return the setting's network, the same for all methods."""
    classes = int(data.labels.max()) + 1
    net: IsolatedNetwork = setting.model.build(data.images.shape[1], classes, seed)
    return net.to(data.labels.device)


def compare(
    job: Job,
    rule_of: RuleOf = _THREE,
    network: Network = of_model,
    measure: Callable[[IsolatedNetwork, DeviceImages], Row] = lambda net, test: {},
    **how: Any,
) -> Outcome:
    """Tune one method, train it with every seed, test each once at the end.

    What ``measure`` finds out about a trained network, given the test images, joins the seed's row
    of results; ``how`` goes to :func:`localbook.local.train`.
    """
    setting: Comparison = job.setting
    data = DeviceImages(job.sets["train"], job.device)
    val, test = (DeviceImages(job.sets[s], job.device, data.stats) for s in ("val", "test"))

    def trained(
        candidate: Candidate, seed: int, epochs: int
    ) -> tuple[IsolatedNetwork, Rule, list[Row]]:
        net = network(setting, job.method, data, seed)
        rule = rule_of(job.method, candidate.get("weight", 0.0), len(net))
        cycles = rule.cycles(len(net))
        schedule = replace(setting.schedule, epochs=epochs, lr=candidate["lr"], cycles=cycles)
        name = "-".join(f"{key}{value:g}" for key, value in candidate.items()) + f"-seed{seed}"
        with Progress(f"{job.method} {name}", epochs, "epoch") as bar:
            rows = train(
                net,
                rule,
                data,
                val,
                schedule,
                seed=seed,
                checkpoint=job.partial / f"{name}.pt",
                on_epoch=lambda row, _: bar.at(row["epoch"], figures(row)),
                **how,
            )
        return net, rule, rows

    def judge(candidate: Candidate) -> float:
        net, rule, rows = trained(candidate, TUNING_SEED, setting.tuning_epochs)
        return _own_accuracy(rule, net, val, rows[-1]["accuracy"][-1])

    candidates = setting.tried(job.method)

    def step() -> Callable[[], object]:
        net = network(setting, job.method, data, TUNING_SEED).train()
        rule = rule_of(job.method, candidates[0].get("weight", 0.0), len(net)).at(0.0)
        return partial(rule.gradients, net, *data.at(slice(0, setting.schedule.batch_size)))

    with_threads_that_pay(job, step)
    chosen, tuning = tune(job, candidates, judge)
    history: list[Row] = []
    final: list[Row] = []
    peak = None
    for seed in job.seeds:
        if job.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        net, rule, rows = trained(chosen, seed, setting.schedule.epochs)
        if job.device == "cuda":
            peak = max(peak or 0, torch.cuda.max_memory_allocated())
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
        wall_s=sum(row["seconds"] for row in history),
        chosen=chosen,
        tuning=tuning,
        parameters=sum(p.numel() for p in net.parameters()),
        peak_bytes=peak,
    )


def _own_accuracy(rule: Rule, net: IsolatedNetwork, data: DeviceImages, by_head: float) -> float:
    """Return the accuracy of the rule's own classifier: the last head, unless it says so."""
    if not rule.classifies:
        return by_head
    net.eval()
    hits = 0
    for x, y in data.in_order(_TEST_BATCH):
        hits += int((rule.scores(net, x).argmax(1) == y).sum())
    return round(hits / len(data), 6)
