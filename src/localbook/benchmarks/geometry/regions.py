"""How fast all linear regions are found, and whether they are all there."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from localbook.benchmarks.geometry.baselines import cells_one_by_one
from localbook.benchmarks.geometry.networks import BOX, name, network
from localbook.benchmarks.harness import Meter, Row, Target, counted, timed
from localbook.tropical import ReLUNetwork, linear_regions

SIZES: tuple[tuple[int, ...], ...] = ((2, 16, 2), (2, 64, 2), (2, 256, 2), (2, 64, 64, 64, 2))
TARGETS: dict[tuple[int, ...], Target] = {
    (2, 256, 2): Target("value", 190),
    (2, 64, 64, 64, 2): Target("value", 5000),
}


def measure(meter: Meter, sizes: tuple[tuple[int, ...], ...] = SIZES) -> Iterator[Row]:
    """Yield times, numbers of regions, and how well their areas fill the box."""
    what, baseline = "regions", "cells one by one"
    for widths in sizes:
        size, net = name(widths), network(widths)
        times = meter.compare(
            {"own": partial(linear_regions, net, BOX), "other": _listed(net)},
        )
        if target := TARGETS.get(widths):
            yield timed(what, size, times["own"], target=target)
        yield timed(what, size, times["own"], baseline, times["other"])
        found = linear_regions(net, BOX)
        yield counted(
            what, size, "regions", len(found), baseline, len(_listed(net)()), Target("equal")
        )
        if len(widths) == 3:
            yield counted(
                what, size, "regions", len(found), "1 + folds + crossings", by_euler(net),
                Target("equal"),
            )  # fmt: skip
        box = float(np.prod(np.diff(BOX)))
        missing = abs(found.areas.sum() / box - 1)
        yield counted("area missing", size, "of the box", missing, target=Target("value", 1e-12))


def _listed(net: ReLUNetwork) -> Callable[[], list[object]]:
    return lambda: list(cells_one_by_one(net, BOX))


def by_euler(net: ReLUNetwork) -> int:
    """Return the number of regions of one hidden layer in general position, by Euler's formula.

    One, and one more for each fold that enters the box and each crossing of two folds inside it.
    """
    weight, bias = net.weights[0], net.biases[0]
    corners = np.array([(x, y) for x in BOX[0] for y in BOX[1]])
    sides = corners @ weight.T + bias
    folds = np.count_nonzero((sides.min(axis=0) < 0) & (sides.max(axis=0) > 0))
    first, second = np.triu_indices(len(bias), 1)
    pairs = np.stack([weight[first], weight[second]], axis=1)  # (pairs, 2, 2)
    right = -np.stack([bias[first], bias[second]], axis=1)[..., None]
    points = np.linalg.solve(pairs, right)[..., 0]
    inside = (points > np.min(BOX, axis=1)) & (points < np.max(BOX, axis=1))
    return int(1 + folds + inside.all(axis=1).sum())
