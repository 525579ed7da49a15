"""What a training run takes its steps with: seeded batches, and the optimiser at its rate."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from localbook.data import DeviceImages
from localbook.local.networks import IsolatedNetwork
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


def optimiser(
    net: IsolatedNetwork, schedule: Schedule, device: torch.device
) -> torch.optim.Optimizer:
    """Return the schedule's optimiser for all parameters of a network."""
    groups, fused = _groups(net, schedule), device.type in ("cpu", "cuda")
    if schedule.optimiser == "adamw":
        return torch.optim.AdamW(groups, schedule.lr, (schedule.momentum, 0.999), fused=fused)
    return torch.optim.SGD(
        groups, schedule.lr, schedule.momentum, nesterov=schedule.momentum > 0, fused=fused
    )


def _groups(net: IsolatedNetwork, schedule: Schedule) -> list[dict[str, Any]]:
    """Return the parameters in groups of one learning rate, which ends after a share of training.

    An optimiser multiplies its decay by the learning rate of the group; what is to be decoupled
    from it is divided by it first.
    """
    decay = schedule.weight_decay / (schedule.lr if schedule.decoupled else 1)
    norms, stems = _biases(net)
    special = {id(p) for p in (*norms, *stems)}
    others = [p for p in net.parameters() if id(p) not in special]
    groups = [(others, 1.0, 1.0), (norms, schedule.bias_rate, 1.0), (stems, 1.0, schedule.stem)]
    if schedule.bias_rate == schedule.stem == 1:
        groups = [(list(net.parameters()), 1.0, 1.0)]
    return [
        {"params": params, "rate": rate, "until": until, "weight_decay": decay / rate}
        for params, rate, until in groups
        if params
    ]


def _biases(net: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return BatchNorm's biases, and those of layers whose weight is frozen."""
    norms, stems = [], []
    for layer in net.modules():
        bias = layer._parameters.get("bias")
        weight = layer._parameters.get("weight")
        if bias is not None and isinstance(layer, nn.modules.batchnorm._BatchNorm):
            norms.append(bias)
        elif bias is not None and weight is not None and not weight.requires_grad:
            stems.append(bias)
    return norms, stems


def set_rate(optimiser: torch.optim.Optimizer, schedule: Schedule, step: int, total: int) -> None:
    """Give an optimiser the learning rate of ``step`` of ``total``."""
    for group in optimiser.param_groups:
        on = step < group["until"] * total
        group["lr"] = group["rate"] * schedule.lr * schedule.factor(step, total) if on else 0.0
