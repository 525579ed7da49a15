"""How fast a network can be trained, and whether local rules keep up: airbench's in three modules.

The network and its schedule are those of ``airbench94`` (Keller Jordan, arXiv 2404.00498): see
:mod:`localbook.local.networks.airbench`. The seconds are those of training alone: they count
neither the images' way to the device nor the whitening nor the measurement at the end.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from localbook.arrays import Row
from localbook.data import Augment, DeviceImages
from localbook.experiments.comparisons.compare import compare
from localbook.experiments.comparisons.rules import RULES, by_name
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.harness import Experiment, Job, Outcome, fewer_images
from localbook.local import SGR, Compute, IsolatedNetwork, Schedule, isolated_airbench

_TEST_BATCH = 512
# For speed only one module a step pays for reconciliation.
_RULE = by_name({**RULES, "sgr": lambda w, modules: SGR(w, "squared", modules_per_step=1)})


@dataclass(frozen=True)
class Airbench:
    """Its network; the first group has ``width`` channels, 64 in the paper."""

    width: int


def _network(setting: Any, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
    images, _ = data.at(slice(0, 5000))
    classes = int(data.labels.max()) + 1
    return isolated_airbench(classes, images=images, width=setting.model.width, seed=seed)


def _run(job: Job) -> Outcome:
    """Compare as the other experiments do, measuring after the last epoch only."""
    how = {"compute": job.setting.compute, "measure_epochs": False, "processor": True}
    outcome = compare(job, _RULE, _network, mirrored, **how)
    for row in outcome.final:
        mine = [r for r in outcome.history if r["seed"] == row["seed"]]
        for key in ("seconds", "processor_seconds"):
            row[key] = round(sum(r[key] for r in mine), 3)
    return outcome


def mirrored(net: IsolatedNetwork, test: DeviceImages) -> Row:
    """Return the accuracy when scores of each image and of its mirror image are added."""
    hits = 0
    with torch.no_grad():
        for x, y in test.in_order(_TEST_BATCH):
            hits += int(((net(x) + net(x.flip(3))).argmax(1) == y).sum())
    return {"test_accuracy_mirrored": round(hits / len(test), 6)}


# The source's numbers, in our terms: it sums the losses of a batch, we take their mean, so its
# lr 11.5 and decay 0.0153 for each 1024 images are divided by 1 + 1 / (1 - momentum) only.
SOURCE = Schedule(
    epochs=10,
    batch_size=1024,
    lr=1.5,
    warmup=0.23,
    momentum=0.85,
    weight_decay=0.002,
    augment=Augment(crop=2, flip=True, whole=True),
    label_smoothing=0.2,
    ends=(0.2, 0.07),
    decoupled=True,
    bias_rate=64.0,
    stem=0.3,
)
_GPU = Comparison(
    data="cifar10",
    model=Airbench(64),
    schedule=SOURCE,
    methods=("bp", "local", "sgr"),
    rates=(0.75, 1.5, 2.25, 3.0),
    pairs=((1.5, 0.1), (1.5, 1.0), (2.25, 0.1), (2.25, 1.0)),  # four as well: equal tuning
    tuning_epochs=10,
    seeds=10,
    compute=Compute(bf16=True, channels_last=True),
)

CIFAR10_SPEED = Experiment(
    {
        "quick": Comparison(
            data="shapes",
            model=Airbench(4),
            schedule=replace(SOURCE, epochs=3, batch_size=30, lr=0.2),
            methods=("bp", "local", "sgr"),
            weights=(0.1,),
            seeds=2,
            images=(120, 60, None),
        ),
        "cpu": replace(
            _GPU,
            model=Airbench(16),
            schedule=replace(SOURCE, epochs=8, batch_size=125, lr=0.2),
            rates=(0.1, 0.2, 0.4, 0.8),
            pairs=((0.4, 0.1), (0.4, 1.0), (0.8, 0.1), (0.8, 1.0)),
            tuning_epochs=3,
            seeds=3,
            images=(8_000, 2_000, None),
            compute=Compute(channels_last=True),
        ),
        "gpu": _GPU,
    },
    _run,
    fewer_images,
)
