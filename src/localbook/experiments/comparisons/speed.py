"""How fast a network can be trained, and whether local rules keep up: airbench's in three modules.

The network and its schedule are those of ``airbench94`` (Keller Jordan, arXiv 2404.00498): see
:mod:`localbook.local.networks.airbench`. The seconds are those of training alone: they count
neither the images' way to the device nor the whitening nor the measurement at the end.
"""

from dataclasses import dataclass, replace

import torch

from localbook.arrays import Row
from localbook.data import Augment, DeviceImages, ImageSet, limited
from localbook.experiments.comparisons.compare import Candidate, compare
from localbook.experiments.harness import Experiment, Job, Outcome
from localbook.local import (
    BP,
    SGR,
    Compute,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    Schedule,
    isolated_airbench,
)

_TEST_BATCH = 512


@dataclass(frozen=True)
class SpeedSetting:
    """One comparison of learning rules on a fast network, at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    train_images, val_images : int or None
        How many images, drawn evenly by class; None for all.
    width : int
        Channels of the first group, 64 in the paper.
    schedule : Schedule
        Its ``lr`` stands only until tuning replaces it.
    compute : Compute
    candidates : dict of method to tuple of dict
        The hyper-parameters tried, as many for each method.
    tuning_epochs, seeds : int
    """

    data: str
    train_images: int | None
    val_images: int | None
    width: int
    schedule: Schedule
    compute: Compute
    candidates: dict[str, tuple[Candidate, ...]]
    tuning_epochs: int
    seeds: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Those with candidates, in their order."""
        return tuple(self.candidates)

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return the candidates of a method."""
        return self.candidates[method]

    def network(self, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
        """Return the network, the same for all methods."""
        images, _ = data.at(slice(0, 5000))
        classes = int(data.labels.max()) + 1
        return isolated_airbench(classes, images=images, width=self.width, seed=seed)

    def rule(self, method: str, candidate: Candidate) -> Rule:
        """Return the rule; λ is the candidate's ``weight``, and one module a step pays."""
        if method == "sgr":
            return SGR(weight=candidate["weight"], modules_per_step=1)
        return BP() if method == "bp" else PlainLocal()


def _run(job: Job) -> Outcome:
    """Compare as the other experiments do, measuring after the last epoch only."""
    how = {"compute": job.setting.compute, "measure_epochs": False, "processor": True}
    outcome = compare(job, _mirrored, how)
    for row in outcome.final:
        mine = [r for r in outcome.history if r["seed"] == row["seed"]]
        for key in ("seconds", "processor_seconds"):
            row[key] = round(sum(r[key] for r in mine), 3)
    return outcome


def _mirrored(net: IsolatedNetwork, test: DeviceImages) -> Row:
    """Return the accuracy when scores of each image and of its mirror image are added."""
    hits = 0
    with torch.no_grad():
        for x, y in test.in_order(_TEST_BATCH):
            hits += int(((net(x) + net(x.flip(3))).argmax(1) == y).sum())
    return {"test_accuracy_mirrored": round(hits / len(test), 6)}


def _limit(setting: SpeedSetting, sets: dict[str, ImageSet]) -> dict[str, ImageSet]:
    limits = {"train": setting.train_images, "val": setting.val_images}
    return sets | {
        split: limited(sets[split], limit) for split, limit in limits.items() if limit is not None
    }


def _tried(
    rates: tuple[float, ...], pairs: tuple[tuple[float, float], ...]
) -> dict[str, tuple[Candidate, ...]]:
    """Return the candidates: learning rates, and for SGR learning rates with λ."""
    plain: tuple[Candidate, ...] = tuple({"lr": lr} for lr in rates)
    reconciled: tuple[Candidate, ...] = tuple({"lr": lr, "weight": w} for lr, w in pairs)
    return {"bp": plain, "local": plain, "sgr": reconciled}


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
_RATES = (0.75, 1.5, 2.25, 3.0)
_PAIRS = ((1.5, 0.1), (1.5, 1.0), (2.25, 0.1), (2.25, 1.0))  # four as well: equal tuning

CIFAR10_SPEED = Experiment(
    {
        "quick": SpeedSetting(
            data="shapes",
            train_images=120,
            val_images=60,
            width=4,
            schedule=replace(SOURCE, epochs=3, batch_size=30, lr=0.2),
            compute=Compute(),
            candidates=_tried((0.2,), ((0.2, 0.1),)),
            tuning_epochs=0,
            seeds=2,
        ),
        "cpu": SpeedSetting(
            data="cifar10",
            train_images=8_000,
            val_images=2_000,
            width=16,
            schedule=replace(SOURCE, epochs=8, batch_size=125, lr=0.2),
            compute=Compute(channels_last=True),
            candidates=_tried(
                (0.1, 0.2, 0.4, 0.8), ((0.4, 0.1), (0.4, 1.0), (0.8, 0.1), (0.8, 1.0))
            ),
            tuning_epochs=3,
            seeds=3,
        ),
        "gpu": SpeedSetting(
            data="cifar10",
            train_images=None,
            val_images=None,
            width=64,
            schedule=SOURCE,
            compute=Compute(bf16=True, channels_last=True),
            candidates=_tried(_RATES, _PAIRS),
            tuning_epochs=10,
            seeds=10,
        ),
    },
    _run,
    _limit,
)
