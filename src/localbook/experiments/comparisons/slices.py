"""The decision boundary of a convolutional network: how many pieces, and in how much time.

A small one is trained, and its whole boundary on planes through three test images is computed
exactly and then checked: on its segments by their scores, between them by a grid.
"""

import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from torch import nn

from localbook.arrays import Box, Floats, Row
from localbook.data import Augment, DeviceImages
from localbook.depths import head_networks, image_plane
from localbook.experiments.comparisons.compare import compare
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.harness import Experiment, Job, Outcome, significant
from localbook.fit import seeded
from localbook.local import IsolatedNetwork, Schedule
from localbook.tropical import DecisionBoundary, ReLUNetwork, decision_boundary

_GRID = 200  # points a side
_HEAD_INPUTS = 64


@dataclass(frozen=True)
class Convolutions:
    """Convolutions 3 x 3 with stride 2, each with a ReLU; two fully connected layers follow."""

    channels: tuple[int, ...]


def _network(setting: Any, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
    classes = int(data.labels.max()) + 1
    net = convolutional(data.images.shape[1:], setting.model.channels, classes, seed)
    return net.to(data.labels.device)


def convolutional(
    shape: tuple[int, ...], channels: tuple[int, ...], classes: int, seed: int
) -> IsolatedNetwork:
    """Return one module of convolutions with stride 2 and a linear layer, and a linear head.

    The height and width of an image of this shape (C, H, W) are divisible by 2^len(channels).
    """
    side = 2 ** len(channels)
    inputs = channels[-1] * (shape[1] // side) * (shape[2] // side)
    with seeded(seed):
        layers: list[nn.Module] = []
        for before, after in pairwise((shape[0], *channels)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Flatten(), nn.Linear(inputs, _HEAD_INPUTS), nn.ReLU()]
        return IsolatedNetwork([nn.Sequential(*layers)], [nn.Linear(_HEAD_INPUTS, classes)])


def boundaries(net: IsolatedNetwork, test: DeviceImages, slices: int) -> Row:
    """Compute and check the boundary on planes through test images.

    ``hidden`` neurons; and lists with a number for each slice: ``segments``,
    ``pairs`` of classes that meet, ``seconds`` of the processor, ``residual``, the largest
    difference of two scores that should tie, as a share of the largest score; ``changes``,
    between how many neighbours in the rows of a grid the class changes, and ``missed``, how
    many of these changes no segment explains.
    """
    images = test.at(slice(0, len(test)))[0].double().cpu()
    network = head_networks(net, tuple(images.shape[1:]))[-1]
    flat = images.flatten(1).numpy()
    rows = []
    for number in range(slices):
        plane, box = image_plane(flat, test.labels.cpu().numpy(), number)
        restricted = plane.restrict(network)
        start = time.process_time()
        found = decision_boundary(restricted, box)
        seconds = time.process_time() - start
        changes, missed = unexplained(restricted, found, box, _GRID)
        rows.append(
            {
                "segments": len(found.segments),
                "pairs": len(np.unique(found.classes, axis=0)),
                "seconds": round(seconds, 2),
                "residual": significant(residual(restricted, found), 2),
                "changes": changes,
                "missed": missed,
            }
        )
    hidden = sum(len(bias) for bias in network.biases[:-1])
    return {"hidden": hidden} | {key: [row[key] for row in rows] for key in rows[0]}


def residual(network: ReLUNetwork, found: DecisionBoundary) -> float:
    """Return how far the two scores are apart at the middle of segments, relative to the largest.

    Zero if there is no segment.
    """
    scores = network(found.segments.mean(axis=1))
    tied = np.take_along_axis(scores, found.classes, axis=1)
    gap = scores.max(axis=1) - tied.min(axis=1)
    return float(gap.max() / np.abs(scores).max()) if len(gap) else 0.0


def unexplained(
    network: ReLUNetwork, found: DecisionBoundary, box: Box, count: int
) -> tuple[int, int]:
    """Count the class changes between neighbours in a grid's rows, and those without a segment.

    The grid has ``count`` points a side; the boundary no areas of ties.
    """
    x, heights = (np.linspace(*side, count + 2)[1:-1] for side in box)
    changes = missed = 0
    for y in heights.tolist():
        seen = network(np.column_stack([x, np.full(count, y)])).argmax(axis=1)
        changed = np.flatnonzero(np.diff(seen))
        places = np.searchsorted(x, _crossings(found.segments, y)) - 1
        changes += len(changed)
        missed += int(np.count_nonzero(~np.isin(changed, places)))
    return changes, missed


def _crossings(segments: Floats, y: float) -> Floats:
    """Return where segments cross the horizontal line at ``y``."""
    (x0, y0), (x1, y1) = segments[:, 0].T, segments[:, 1].T
    cut = (y0 < y) != (y1 < y)
    crossing: Floats = (x0 + (y - y0) / np.where(cut, y1 - y0, 1) * (x1 - x0))[cut]
    return crossing


def _run(job: Job) -> Outcome:
    measure = partial(boundaries, slices=job.setting.slices)
    return compare(job, network=_network, measure=measure)


_QUICK = Comparison(
    data="shapes",
    model=Convolutions((4, 8)),
    schedule=Schedule(epochs=2, batch_size=64, lr=0.05),
    methods=("bp",),  # the network is one module
    seeds=1,
    slices=1,
)

IMAGE_SLICES = Experiment(
    {
        "quick": _QUICK,
        "cpu": replace(
            _QUICK,
            data="cifar10",
            model=Convolutions((16, 32, 64)),
            schedule=Schedule(
                epochs=8, batch_size=128, lr=0.05, augment=Augment(crop=4, flip=True)
            ),
            rates=(0.02, 0.05, 0.1),
            tuning_epochs=2,
            seeds=3,
            slices=5,
        ),
    },
    _run,
)
