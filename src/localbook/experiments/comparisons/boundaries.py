"""Does reconciliation show in the geometry? Decision boundaries at every depth, on image slices.

A chain of fully connected modules is trained by each method; then the decisions of all heads are
compared exactly on planes through three test images of different classes.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.depths import agreement, chain, head_networks, image_plane
from localbook.experiments.comparisons.compare import compare
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.harness import Experiment, Job, Outcome
from localbook.local import IsolatedNetwork, Schedule
from localbook.tropical import decision_boundary, linear_regions


@dataclass(frozen=True)
class Chain:
    """As :func:`localbook.depths.chain` builds it: so many modules of so many neurons each."""

    width: int
    modules: int


def _network(setting: Any, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
    """Return the network, the same for all methods."""
    widths = (data.images[0].numel(), *[setting.model.width] * setting.model.modules)
    return chain(widths, int(data.labels.max()) + 1, seed).to(data.labels.device)


def geometry(net: IsolatedNetwork, test: DeviceImages, slices: int) -> Row:
    """Measure what the heads decide on slices through test images, and on the images themselves.

    Means over the slices, a number for each module: ``regions`` and ``pieces`` of the boundary;
    a number for each module from the second: ``agreement``, the share of the area where it
    decides as the one before it, and ``same_on_images``, the share of all test images on which
    it does. ``first_and_last``: the share of the area where these two decide alike.
    """
    heads = head_networks(net)
    images = test.at(slice(0, len(test)))[0].flatten(1).double().cpu().numpy()
    labels = test.labels.cpu().numpy()
    counts, shares, ends = [], [], []
    for number in range(slices):
        plane, box = image_plane(images, labels, number)
        flat = [plane.restrict(head) for head in heads]
        counts.append(
            [
                [len(linear_regions(head, box)) for head in flat],
                [len(decision_boundary(head, box).segments) for head in flat],
            ]
        )
        shares.append([agreement(a, b, box) for a, b in pairwise(flat)])
        ends.append(agreement(flat[0], flat[-1], box))
    decided = np.stack([head(images).argmax(axis=1) for head in heads])
    regions, pieces = np.mean(counts, axis=0).round(1).tolist()
    return {
        "regions": regions,
        "pieces": pieces,
        "agreement": np.mean(shares, axis=0).round(6).tolist(),
        "first_and_last": round(float(np.mean(ends)), 6),
        "same_on_images": (decided[1:] == decided[:-1]).mean(axis=1).round(6).tolist(),
    }


def _run(job: Job) -> Outcome:
    measure = partial(geometry, slices=job.setting.slices)
    return compare(job, network=_network, measure=measure)


_QUICK = Comparison(
    data="digits",
    model=Chain(width=16, modules=3),
    schedule=Schedule(epochs=10, batch_size=64, lr=0.05),
    methods=("bp", "local", "sgr"),
    weights=(1.0,),
    seeds=2,
    slices=2,
)

BOUNDARIES = Experiment(
    {
        "quick": _QUICK,
        "cpu": replace(
            _QUICK,
            data="mnist",
            model=Chain(width=24, modules=4),
            schedule=Schedule(epochs=8, batch_size=64, lr=0.1),
            rates=(0.01, 0.02, 0.03, 0.05, 0.1, 0.2),
            # SGR has λ to choose as well and so tries fewer rates. With λ = 10 some seeds diverged.
            pairs=tuple((lr, weight) for lr in (0.03, 0.1) for weight in (0.1, 0.3, 1.0)),
            weights=(),
            tuning_epochs=2,
            seeds=3,
            slices=5,
        ),
    },
    _run,
)
