"""How much a penalty adds to a step, by distance and path; and an epoch of the trainer."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from localbook.benchmarks.meter import Meter
from localbook.benchmarks.row import Row, Target, timed
from localbook.benchmarks.training import CASES, Case, step
from localbook.data import ImageSet
from localbook.data.batches import DeviceImages
from localbook.local import BP, SGR, IsolatedNetwork, PlainLocal, Rule, Schedule, train

_RECONCILED = "ResNet-32, 16 of 32²"
_WAYS = {
    f"{distance}, {path.replace('_', ' ')}": SGR(0.1, distance, path)
    for distance in ("squared", "relative", "cosine")
    for path in ("double_backward", "forward_over_reverse")
}
PENALTIES: Mapping[str, Rule] = {
    **_WAYS,
    "squared, double backward, one module a step": SGR(0.1, paying=1),
}
TRAINED: Mapping[str, Rule] = {"BP": BP(), "plain local": PlainLocal(), "SGR": SGR(0.1)}
_BATCH = 64
_ONE_EPOCH = Schedule(epochs=1, batch_size=_BATCH, lr=0.1)


def measure_reconcile(
    meter: Meter, build: Callable[[], Case] = CASES[_RECONCILED]
) -> Iterator[Row]:
    """Yield the time of a step with each form of the penalty, beside plain local learning."""
    net, x, y = build()
    rules: dict[str, Rule] = {"plain local": PlainLocal(), **PENALTIES}
    times = meter.compare({name: partial(step, rule, net, x, y) for name, rule in rules.items()})
    for name in PENALTIES:
        yield timed(name, _RECONCILED, times[name], "plain local", times["plain local"])


def measure_train(
    meter: Meter, build: Callable[[], Case] = CASES[_RECONCILED], images: int = 512
) -> Iterator[Row]:
    """Yield the time of the trainer's epoch, measurements and all, beside a plain loop of BP."""
    net, _, _ = build()
    data, held_out = _noise(images), _noise(2 * _BATCH)
    routines: dict[str, Callable[[], object]] = {"plain loop": partial(_plain_loop, net, data)}
    for name, rule in TRAINED.items():
        routines[name] = partial(_trained, net, rule, data, held_out)
    times = meter.compare(routines)
    for name in TRAINED:
        target = Target("ratio", 1.1) if name == "BP" else None
        yield timed(
            f"epoch, {name}", f"ResNet-32, {images} images", times[name], "a plain loop of BP",
            times["plain loop"], target,
        )  # fmt: skip


def _noise(count: int) -> DeviceImages:
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(count, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % 10
    return DeviceImages(ImageSet(pixels, labels, tuple("0123456789"), "noise"))


def _trained(net: IsolatedNetwork, rule: Rule, data: DeviceImages, held_out: DeviceImages) -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
        train(deepcopy(net), rule, data, held_out, _ONE_EPOCH, seed=0)


def _plain_loop(net: IsolatedNetwork, data: DeviceImages) -> None:
    """Train by back-propagation for an epoch, as one would without a library."""
    net = deepcopy(net).train()
    model = torch.nn.Sequential(*net.local_modules, net.heads[-1])
    optimiser = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    order = torch.randperm(len(data))
    for start in range(0, len(data) - _BATCH + 1, _BATCH):
        x, y = data.at(order[start : start + _BATCH])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(F.cross_entropy(model(x), y))
        optimiser.step()
