"""What a training run takes its steps with: seeded batches, and the optimiser at its rate."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from localbook.data.batches import DeviceImages
from localbook.local.network import IsolatedNetwork
from localbook.local.schedule import Schedule
from localbook.local.targets import mixed, smoothed


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch of a run."""
    return 1_000_003 * seed + epoch


def batches(
    data: DeviceImages, schedule: Schedule, classes: int, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield an epoch's batches of images and labels or soft targets, drawn from (seed, epoch)."""
    generator = torch.Generator(data.labels.device).manual_seed(epoch_seed(seed, epoch))
    shares = np.random.default_rng([seed, epoch])
    for x, y in data.epoch(schedule.batch_size, generator, schedule.augment):
        if schedule.soft:
            y = smoothed(y, classes, schedule.label_smoothing)  # (N, classes)
        if schedule.mixup:
            x, y = mixed(x, y, shares.beta(schedule.mixup, schedule.mixup))
        yield x, y


def optimiser(
    net: IsolatedNetwork, schedule: Schedule, device: torch.device
) -> torch.optim.Optimizer:
    """Return the schedule's optimiser for all parameters of a network."""
    decay, fused = schedule.weight_decay, device.type in ("cpu", "cuda")
    if schedule.optimiser == "adamw":
        betas = (schedule.momentum, 0.999)
        return torch.optim.AdamW(
            net.parameters(), schedule.lr, betas, weight_decay=decay, fused=fused
        )
    return torch.optim.SGD(
        net.parameters(),
        schedule.lr,
        schedule.momentum,
        weight_decay=decay,
        nesterov=schedule.momentum > 0,
        fused=fused,
    )


def set_rate(optimiser: torch.optim.Optimizer, schedule: Schedule, step: int, total: int) -> None:
    """Give an optimiser the learning rate of ``step`` of ``total``."""
    for group in optimiser.param_groups:
        group["lr"] = schedule.lr * schedule.factor(step, total)
