"""The seeded batches that a training run takes its steps with."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from localbook.data import DeviceImages
from localbook.local.rules import mixed, smoothed
from localbook.local.training.schedule import Schedule


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch of a run."""
    return 1_000_003 * seed + epoch


def batches(
    data: DeviceImages, schedule: Schedule, classes: int, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches of images and labels or soft targets, drawn from (seed, epoch)."""
    generator = torch.Generator(data.labels.device).manual_seed(epoch_seed(seed, epoch))
    shares = np.random.default_rng([seed, epoch])
    mirrored = _mirrored(data, seed, epoch) if schedule.augment.whole else None
    for x, y in data.epoch(schedule.batch_size, generator, schedule.augment, mirrored):
        if schedule.soft:
            y = smoothed(y, classes, schedule.label_smoothing)  # (N, classes)
        if schedule.mixup:
            x, y = mixed(x, y, shares.beta(schedule.mixup, schedule.mixup))
        yield x, y


def _mirrored(data: DeviceImages, seed: int, epoch: int) -> Tensor:
    """Return which images (N,) an epoch shows mirrored: a half, and the other half in the next."""
    generator = torch.Generator(data.labels.device).manual_seed(epoch_seed(seed, 0))
    first = torch.rand(len(data), generator=generator, device=data.labels.device) < 0.5
    return first ^ (epoch % 2 == 0)
