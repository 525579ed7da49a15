"""Groups of units beside dense layers and scattered connections, rewired in several ways."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook import neighbours
from localbook.arrays import Row
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    seed_by_seed,
    tune,
)
from localbook.fit import accuracy, seeded

g2g = neighbours.g2gnet


@dataclass(frozen=True)
class Arm:
    """A network: how its layers are wired, and what happens to the wires.

    Attributes
    ----------
    wiring : str
        Of :func:`localbook.neighbours.g2gnet.wire`.
    apart : bool
        Nothing goes from group to group; of a scattered wiring, as few connections as that.
    rewiring : Rewiring, optional
    narrow : bool
        A dense network with the fewest hidden units that give it no fewer parameters than the
        groups have active ones.
    dropout : float
    """

    wiring: Any = "mixer"
    apart: bool = False
    rewiring: Any = None
    narrow: bool = False
    dropout: float = 0.0


METHODS: Mapping[str, Arm] = {
    "dense": Arm("dense"),
    "index": Arm("index"),
    "scattered": Arm("scattered"),
    "dense-narrow": Arm("dense", narrow=True),
    "random-groups": Arm("random"),
    "mixer": Arm(),
    "set-random": Arm(rewiring=g2g.Rewiring("set", "random")),
    "set-hebb": Arm(rewiring=g2g.Rewiring("set", "hebb")),
    "set-random-zero": Arm(rewiring=g2g.Rewiring("set", "random", zero=True)),
    "set-hebb-zero": Arm(rewiring=g2g.Rewiring("set", "hebb", zero=True)),
    "blocks": Arm("index", apart=True),
    "scattered-few": Arm("scattered", apart=True),
    "set-centred": Arm(rewiring=g2g.Rewiring("set", "hebb", centred=True)),
    "hebb-hebb": Arm(rewiring=g2g.Rewiring("hebb", "hebb")),
    "random-random": Arm(rewiring=g2g.Rewiring("random", "random")),
    "dense-dropout": Arm("dense", dropout=0.2),
    "mixer-blocks": Arm(apart=True),
    "scattered-set-random": Arm("scattered", rewiring=g2g.Rewiring("set", "random")),
    "scattered-set-hebb": Arm("scattered", rewiring=g2g.Rewiring("set", "hebb")),
}
"""Wirings that stay, wirings without anything across, and wirings that change: drop and grow."""


@dataclass(frozen=True)
class GroupSetting:
    """Networks with three hidden layers on patches of images, at one profile.

    Attributes
    ----------
    side : int
        Of a patch, in pixels.
    filters : int
        Of the convolution that sees each patch by itself; 0 for none.
    width, groups, p_inter
        Units of a hidden layer, k, and the share of connections across.
    epochs, batch_size, every : int
        ``every`` is the steps from one rewiring to the next.
    rates : tuple of float
        Candidates of Adam's learning rate, the same for all methods, by validation.
    """

    data: str = "digits"
    seeds: int = 10
    methods: tuple[str, ...] = tuple(METHODS)
    side: int = 2
    filters: int = 0
    width: int = 128
    groups: int = 8
    p_inter: float = 0.15
    epochs: int = 14
    batch_size: int = 64
    every: int = 5
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


class PatchConvolution(nn.Module):
    """One convolution and ReLU, applied to each patch by itself: (N, P, C, s, s) to (N, D).

    Its squares of 4 pixels do not overlap, and a patch's numbers stay together.
    """

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, filters, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, D)."""
        return F.relu(self.convolution(x.flatten(0, 1))).reshape(len(x), -1)


def build(arm: Arm, setting: GroupSetting, sample: Tensor, classes: int, seed: int) -> Any:
    """Return a network for patches of the shape of a sample (P, C, s, s)."""
    first: nn.Module = nn.Flatten()
    ends = sample.numel()
    if setting.filters:
        with seeded(seed):
            first = PatchConvolution(sample.shape[1], setting.filters)
        ends = first(sample[None]).numel()

    def made(width: int, wiring: Any) -> Any:
        wires = g2g.wire(
            (ends, *[width] * 3), wiring, k=setting.groups,
            p=0.0 if arm.apart else setting.p_inter, seed=seed,
        )  # fmt: skip
        net = g2g.network(wires, classes, seed, first)
        hidden = [(part, nn.Dropout(arm.dropout)) for part in net[1:-1]]
        return nn.Sequential(net[0], *(part for both in hidden for part in both), net[-1])

    if not arm.narrow:
        return made(setting.width, arm.wiring)
    goal = g2g.active(made(setting.width, "index"))
    narrow = next(n for n in count(setting.groups) if g2g.active(made(n, "dense")) >= goal)
    return made(narrow, "dense")


def structure(net: nn.Module, starts: list[Tensor]) -> Row:
    """Return means over the layers, beside the masks they started with.

    ``inside`` is the share of connections within a group, ``kept`` that of the first ones that are
    there; ``busiest`` is the most connections that leave an input, ``fullest`` the most that enter
    a unit, each over the mean.
    """
    rows = []
    layers = (part for part in net.modules() if isinstance(part, g2g.SparseLayer))
    for layer, start in zip(layers, starts, strict=True):
        mask = layer.mask
        out, into = (mask.sum(axis).double() for axis in (0, 1))
        inside, kept = (mask & layer.inside).sum() / mask.sum(), (mask & start).sum() / start.sum()
        rows.append([inside, kept, out.max() / out.mean(), into.max() / into.mean()])
    names = "inside", "kept", "busiest", "fullest"
    return dict(zip(names, np.array(rows, float).mean(0).round(4).tolist(), strict=True))


def run(job: Job) -> Outcome:
    """Choose the rate on the validation split, train every seed with it, and look at the wires."""
    arm, setting = METHODS[job.method], job.setting
    mean, std = job.sets["train"].channel_stats()
    shape = -1, 1, 1
    splits = {}
    for name, images in job.sets.items():
        pixels = torch.tensor(images.images).float() / 255
        pixels = (pixels - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
        splits[name] = g2g.patches(pixels, setting.side), torch.tensor(images.labels)
    rule = arm.rewiring and replace(arm.rewiring, every=setting.every)

    def trained(seed: int, lr: float) -> tuple[Any, list[Row], Row]:
        classes = len(job.sets["train"].class_names)
        net = build(arm, setting, splits["train"][0][0], classes, seed)
        starts = [part.mask.clone() for part in net if isinstance(part, g2g.SparseLayer)]
        rows: list[Row] = []

        def look(number: int) -> None:
            if number % 5 == 0:
                rows.append({"rewiring": number, **structure(net, starts)})

        before = time.process_time()
        with seeded(seed):  # of dropout
            number = g2g.train(
                net, *splits["train"], epochs=setting.epochs, batch_size=setting.batch_size,
                lr=lr, seed=seed, rewiring=rule, look=look,
            )  # fmt: skip
        seconds = time.process_time() - before
        row = {"cpu_seconds": round(seconds, 3), "active": g2g.active(net), "rewirings": number}
        return net, rows, row | structure(net, starts)

    def judged(candidate: Row) -> float:
        return round(accuracy(trained(TUNING_SEED, **candidate)[0], *splits["val"]), 4)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        net, rows, row = trained(seed, **chosen)
        scores = {f"{s}_accuracy": round(accuracy(net, *splits[s]), 4) for s in ("train", "test")}
        return scores | row, rows

    chosen, tuning = tune(job, [{"lr": lr} for lr in setting.rates], judged)
    outcome = seed_by_seed(job, measured, chosen, tuning)
    return replace(outcome, parameters=outcome.final[0]["active"])


G2GNET = Experiment(
    {
        "quick": GroupSetting(
            seeds=3,
            methods=("dense", "index", "scattered", "set-hebb", "blocks"),
            width=64,
            epochs=16,
            every=2,
            rates=(0.003,),
            images=(400, 100, 200),
        ),
        "cpu": GroupSetting(),
    },
    run,
    fewer_images,
)
"""Digits, in 16 patches of 2 × 2 pixels."""

G2GNET_MNIST = Experiment(
    {"cpu": GroupSetting("mnist", side=7, epochs=15, every=4, images=(1000, 1000, 2000))},
    run,
    fewer_images,
)
"""MNIST, in 16 patches of 7 × 7 pixels; few images, since with many all methods saturate."""

G2GNET_CIFAR10 = Experiment(
    {
        "cpu": GroupSetting(
            "cifar10",
            methods=tuple(METHODS)[:15],
            side=8,
            filters=8,
            epochs=8,
            every=4,
            images=(2000, 1000, 2000),
        )
    },
    run,
    fewer_images,
)
"""CIFAR-10, in 16 patches of 8 × 8 pixels behind a convolution."""
