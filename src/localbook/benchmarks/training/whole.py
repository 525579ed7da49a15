"""A short training from beginning to end, beside one written out by hand for back-propagation."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.benchmarks.harness import Meter, Row, Target, timed
from localbook.data import DeviceImages, ImageSet
from localbook.experiments.comparisons import SOURCE
from localbook.local import (
    BP,
    SGR,
    Compute,
    PlainLocal,
    Rule,
    airbench,
    isolated_airbench,
    train,
)

TRAINED: Mapping[str, Rule] = {
    "BP": BP(),
    "plain local": PlainLocal(),
    "SGR, one module a step": SGR(0.1, modules_per_step=1),
    "SGR": SGR(0.1),
}
_BASELINE = "a loop by hand of BP"
_LIMIT = 2.0  # times the baseline
# As by hand below, where the bias of the whitening layer is trained to the end.
_SCHEDULE = replace(SOURCE, epochs=2, batch_size=128, lr=0.4, stem=1.0)


@dataclass(frozen=True)
class Size:
    """How much is trained: images, and channels of the network's first group."""

    images: int = 1024
    width: int = 16


def measure_train(meter: Meter, size: Size = Size()) -> Iterator[Row]:
    """Yield the time of a training of two epochs, whitening and all, beside a loop by hand.

    Both train the network of :func:`localbook.local.networks.airbench` on the same noise, with the
    source's augmentation, groups of parameters and schedule; ours also checks, keeps what it
    would go back to, and measures accuracy, discord and alignment once at the end.
    """
    data, held_out = (_noise(n, meter.device) for n in (size.images, size.images // 8))
    routines: dict[str, Callable[[], object]] = {_BASELINE: partial(by_hand, data, size.width)}
    for name, rule in TRAINED.items():
        routines[name] = partial(_trained, rule, data, held_out, size.width)
    times = meter.compare(routines)
    for name in TRAINED:
        yield timed(
            f"two epochs, {name}", f"{size.images:,} images, width {size.width}", times[name],
            _BASELINE, times[_BASELINE], Target("ratio", _LIMIT),
        )  # fmt: skip


def _noise(count: int, device: str) -> DeviceImages:
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(count, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % 10
    return DeviceImages(ImageSet(pixels, labels, tuple("0123456789"), "noise"), device)


def _trained(rule: Rule, data: DeviceImages, held_out: DeviceImages, width: int) -> None:
    net = isolated_airbench(images=data.at(slice(None))[0], width=width, seed=0)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        train(
            net, rule, data, held_out, _SCHEDULE, seed=0,
            compute=Compute(channels_last=True), measure_epochs=False,
        )  # fmt: skip


def by_hand(data: DeviceImages, width: int) -> nn.Module:
    """Train by back-propagation as the source's script does, without a library for it."""
    images, _ = data.at(slice(None))
    model = airbench(images=images, width=width, seed=0).train()
    model.to(memory_format=torch.channels_last)
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    padded = F.pad(images, (2,) * 4, "reflect")
    plan = _SCHEDULE
    decay = plan.weight_decay / plan.lr
    norms = [p for name, p in model.named_parameters() if "norm" in name and p.requires_grad]
    others = [p for name, p in model.named_parameters() if "norm" not in name and p.requires_grad]
    fast = {"params": norms, "lr": 64 * plan.lr, "weight_decay": decay / 64}
    optimiser = torch.optim.SGD(
        [fast, {"params": others, "weight_decay": decay}], plan.lr, plan.momentum, nesterov=True
    )
    steps = plan.epochs * (len(images) // plan.batch_size)
    knots = [0, round(plan.warmup * steps), steps]
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: float(np.interp(step, knots, [0.2, 1.0, 0.07]))
    )
    for epoch in range(plan.epochs):
        shown = _cropped(padded, 32)
        shown = shown.flip(3) if epoch % 2 else shown
        order = torch.randperm(len(shown), device=shown.device)
        for start in range(0, len(shown) - plan.batch_size + 1, plan.batch_size):
            index = order[start : start + plan.batch_size]
            x = shown[index].contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(x), data.labels[index], label_smoothing=0.2)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            rates.step()
    return model


def _cropped(padded: Tensor, side: int) -> Tensor:
    """Return a random crop (N, C, side, side) of each image, all of one shift at a time."""
    shifts = padded.shape[2] - side + 1
    rows, cols = torch.randint(shifts, (2, len(padded)), device=padded.device)
    out = padded.new_empty(len(padded), padded.shape[1], side, side)
    for row in range(shifts):
        for col in range(shifts):
            chosen = (rows == row) & (cols == col)
            out[chosen] = padded[chosen, :, row : row + side, col : col + side]
    return out
