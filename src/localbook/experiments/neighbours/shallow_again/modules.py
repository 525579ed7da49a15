"""The question of part I: the layouts' layers as modules that learn by themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from torch import nn

from localbook import local, neighbours
from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    seed_by_seed,
    tune,
)
from localbook.fit import accuracy

shallow = neighbours.shallow_again

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
    seeds: int = 10
    methods: tuple[str, ...] = tuple(LOCAL)
    depth: int = 4
    width: int = 8
    epochs: int = 10
    rates: tuple[float, ...] = (0.002, 0.006, 0.02)
    images: tuple[int | None, int | None, int | None] = (640, None, None)


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

    return seed_by_seed(job, measured, chosen, tuning)


SHALLOW_AGAIN_LOCAL = Experiment(
    {
        "quick": LocalSetting(seeds=2, depth=3, epochs=2, rates=(0.006,), images=(200, 50, 100)),
        "cpu": LocalSetting(),
    },
    locally,
    fewer_images,
)
