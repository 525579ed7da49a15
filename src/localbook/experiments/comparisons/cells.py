"""The cells of the experiment on where reconciliation helps: norm, heads and rule, by name.

A method is called ``NORM-HEADS_RULE``, such as ``none-trained_sgr-1``: the cell, and the rule with
its λ. Every layer is a module, unless the cell says into how many the layers are cut: in
``none-trained-4_sgr-1`` into four.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from localbook.data import ImageSet
from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.local import (
    BP,
    DISTANCES,
    SGR,
    SID,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    Schedule,
    with_auglocal_heads,
    with_heads,
)

HEADS = {"trained": "linear", "fixed": "random", "shared": "random"}
_METHOD = re.compile(r"(batch|group|none)-(trained|fixed|shared)(?:-(\d+))?_(.+)")


@dataclass(frozen=True)
class Regime:
    """The cells and rules of one comparison, at one profile.

    Attributes
    ----------
    methods : tuple of str
        ``NORM-HEADS_RULE`` or ``NORM-HEADS-MODULES_RULE``: batch, group or none; trained, fixed or
        shared (fixed, one for all); bp, local, auglocal, sid; sgr, zero, shuffled with λ; or plain
        local learning with a weight decay or a number of epochs of its own: decay-0.01, epochs-20.
    widths : tuple of int
        Of the layers, each a linear map or a 3 x 3 convolution, the norm, tanh.
    strides : tuple of int
        Of the convolutions; none for linear layers.
    train : int
        How many images every seed draws from the train split.
    schedule : Schedule
        Its ``lr`` is not used.
    rates : tuple of float
        Tried for plain local learning in every cell.
    looks : int
        How often gradients are measured in a run, evenly spaced.
    seeds, tuning_seeds : int
    together : int
        How many seeds' networks are trained side by side: small ones are faster so.
    gain : float or None
        Of Xavier's initial weights, for networks so deep that PyTorch's own would let signals die.
    """

    data: str
    methods: tuple[str, ...]
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    train: int
    schedule: Schedule
    rates: tuple[float, ...]
    looks: int = 6
    seeds: int = 16
    tuning_seeds: int = 3
    together: int = 16
    images: tuple[int | None, int | None, int | None] = (None, None, None)
    gain: float | None = None

    @property
    def overruled(self) -> dict[str, str]:
        """Return the fields that nothing looks at, each with the reason."""
        return {"schedule.lr": "plain local learning's best of `rates` is taken; set these"}


def _zero(gamma: Tensor, target: Tensor) -> Tensor:
    return DISTANCES["per_position"](gamma, torch.zeros_like(target))


def _shuffled(gamma: Tensor, target: Tensor) -> Tensor:
    return DISTANCES["per_position"](gamma, target.roll(1, dims=0))


def rule_of(name: str, schedule: Schedule) -> tuple[Rule, Schedule]:
    """Return the rule of a name such as ``sid`` or ``sgr-1``, and the schedule it is trained by."""
    kind, _, amount = name.partition("-")
    unweighted = {"bp": BP(), "local": PlainLocal(), "auglocal": PlainLocal(), "sid": SID()}
    targets: dict[str, Any] = {"sgr": "per_position", "zero": _zero, "shuffled": _shuffled}
    try:
        if kind == "decay":
            return PlainLocal(), replace(schedule, weight_decay=float(amount))
        if kind == "epochs":
            return PlainLocal(), replace(schedule, epochs=int(amount))
        return unweighted[kind] if not amount else SGR(float(amount), targets[kind]), schedule
    except (KeyError, ValueError):
        raise ConfigError(
            f"unknown rule {name!r}; choose {', '.join(unweighted)}, or {', '.join(targets)} with "
            "a λ, such as sgr-1, decay with a weight decay, or epochs with their number."
        ) from None


def cell_of(method: str) -> tuple[str, str, int | None, str]:
    """Return a method's norm, heads, modules (None: every layer is one) and rule."""
    found = _METHOD.fullmatch(method)
    if found is None:
        raise ConfigError(
            f"unknown method {method!r}; give NORM-HEADS_RULE, such as none-trained_sgr-1, or "
            "NORM-HEADS-MODULES_RULE."
        )
    norm, heads, modules, rule = found.groups()
    return norm, heads, int(modules) if modules else None, rule


def _layers(setting: Regime, norm: str, channels: int) -> Iterator[nn.Module]:
    for number, (inputs, width) in enumerate(pairwise((channels, *setting.widths))):
        layer: nn.Conv2d | nn.Linear
        if setting.strides:
            layer = nn.Conv2d(inputs, width, 3, setting.strides[number], padding=1)
        else:
            layer = nn.Linear(inputs, width)
        if setting.gain is not None:
            nn.init.xavier_uniform_(layer.weight, setting.gain)
        parts: list[nn.Module] = [layer] if setting.strides else [nn.Flatten(), layer]
        if norm == "batch":
            parts.append((nn.BatchNorm2d if setting.strides else nn.BatchNorm1d)(width))
        elif norm == "group":
            parts.append(nn.GroupNorm(4, width))
        yield nn.Sequential(*parts, nn.Tanh())


def network(setting: Regime, method: str, x: Tensor, seed: int) -> IsolatedNetwork:
    """Return a method's network for images like x (N, C, H, W), the same for a cell's rules.

    Its layers are the same however many modules they are cut into.
    """
    norm, heads, count, rule = cell_of(method)
    with seeded(seed):
        channels = x.shape[1] if setting.strides else x[0].numel()
        modules = list(_layers(setting, norm, channels))
    if count is not None:
        modules = _cut(modules, count)
    net = IsolatedNetwork(modules, [nn.Identity()] * len(modules))
    net = with_heads(net, HEADS[heads], x, seed=seed, shared=heads == "shared", classes=10)
    return with_auglocal_heads(net, x, seed=seed) if rule == "auglocal" else net


def _cut(layers: list[nn.Module], count: int) -> list[nn.Module]:
    """Return modules of equally many layers."""
    if not count or len(layers) % count:
        raise ConfigError(f"{len(layers)} layers cannot be cut into {count} modules of one length.")
    size = len(layers) // count
    return [nn.Sequential(*layers[at : at + size]) for at in range(0, len(layers), size)]


def drawn(images: ImageSet, count: int, seed: int) -> ImageSet:
    """Return images of every class in equal numbers, drawn by a seed."""
    order = np.random.default_rng(seed).permutation(len(images))
    same = images.labels[order][:, None] == np.arange(len(images.class_names))  # (N, classes)
    turn = np.where(same, np.cumsum(same, axis=0), 0).sum(axis=1)  # how many of its class so far
    rows = np.sort(order[np.argsort(turn, kind="stable")[:count]])
    return replace(images, images=images.images[rows], labels=images.labels[rows])
