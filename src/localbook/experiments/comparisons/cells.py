"""The cells of the experiment on where reconciliation helps: norm, heads and rule, by name.

A method is called ``NORM-HEADS_RULE``, such as ``none-trained_sgr-1``: the cell, and the rule with
its λ.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from localbook.data import ImageSet
from localbook.errors import ConfigError
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


@dataclass(frozen=True)
class Regime:
    """The cells and rules of one comparison, at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    methods : tuple of str
        ``NORM-HEADS_RULE``: batch, group or none; trained, fixed or shared (fixed, one for all);
        bp, local, auglocal, sid, or sgr, zero, shuffled with a λ.
    widths : tuple of int
        Of the modules: a linear layer or a 3 x 3 convolution, the norm, tanh.
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
    images : tuple of int or None
        At most how many images of train, val and test.
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

    @property
    def overruled(self) -> dict[str, str]:
        """Return the fields that nothing looks at, each with the reason."""
        return {"schedule.lr": "plain local learning's best of `rates` is taken; set these"}


def _zero(gamma: Tensor, target: Tensor) -> Tensor:
    return DISTANCES["per_position"](gamma, torch.zeros_like(target))


def _shuffled(gamma: Tensor, target: Tensor) -> Tensor:
    return DISTANCES["per_position"](gamma, target.roll(1, dims=0))


def rule_of(name: str) -> Rule:
    """Return the rule of a name such as ``sid`` or ``sgr-1``."""
    kind, _, weight = name.partition("-")
    unweighted = {"bp": BP(), "local": PlainLocal(), "auglocal": PlainLocal(), "sid": SID()}
    targets: dict[str, Any] = {"sgr": "per_position", "zero": _zero, "shuffled": _shuffled}
    try:
        return unweighted[kind] if not weight else SGR(float(weight), targets[kind])
    except (KeyError, ValueError):
        raise ConfigError(
            f"unknown rule {name!r}; choose {', '.join(unweighted)}, or {', '.join(targets)} with "
            "a λ, such as sgr-1."
        ) from None


def cell_of(method: str) -> tuple[str, str, str]:
    """Return a method's norm, heads and rule."""
    cell, _, rule = method.partition("_")
    norm, _, heads = cell.partition("-")
    if norm not in ("batch", "group", "none") or heads not in HEADS:
        raise ConfigError(
            f"unknown method {method!r}; give NORM-HEADS_RULE, such as none-trained_sgr-1."
        )
    return norm, heads, rule


def _modules(setting: Regime, norm: str, channels: int) -> Iterator[nn.Module]:
    for number, (inputs, width) in enumerate(pairwise((channels, *setting.widths))):
        layers: list[nn.Module]
        if setting.strides:
            layers = [nn.Conv2d(inputs, width, 3, setting.strides[number], padding=1)]
        else:
            layers = [nn.Flatten(), nn.Linear(inputs, width)]
        if norm == "batch":
            layers.append((nn.BatchNorm2d if setting.strides else nn.BatchNorm1d)(width))
        elif norm == "group":
            layers.append(nn.GroupNorm(4, width))
        yield nn.Sequential(*layers, nn.Tanh())


def network(setting: Regime, method: str, x: Tensor, seed: int) -> IsolatedNetwork:
    """Return a method's network for images like x (N, C, H, W), the same for a cell's rules."""
    norm, heads, rule = cell_of(method)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        channels = x.shape[1] if setting.strides else x[0].numel()
        modules = list(_modules(setting, norm, channels))
    net = IsolatedNetwork(modules, [nn.Identity()] * len(modules))
    net = with_heads(net, HEADS[heads], x, seed=seed, shared=heads == "shared", classes=10)
    return with_auglocal_heads(net, x, seed=seed) if rule == "auglocal" else net


def drawn(images: ImageSet, count: int, seed: int) -> ImageSet:
    """Return images of every class in equal numbers, drawn by a seed."""
    order = np.random.default_rng(seed).permutation(len(images))
    same = images.labels[order][:, None] == np.arange(len(images.class_names))  # (N, classes)
    turn = np.where(same, np.cumsum(same, axis=0), 0).sum(axis=1)  # how many of its class so far
    rows = np.sort(order[np.argsort(turn, kind="stable")[:count]])
    return replace(images, images=images.images[rows], labels=images.labels[rows])
