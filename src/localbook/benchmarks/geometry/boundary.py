"""How fast, how exact and how small the decision boundary is."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from localbook.arrays import Floats
from localbook.benchmarks.geometry.baselines import line_sort, segments_one_by_one
from localbook.benchmarks.geometry.networks import BOX, name, network
from localbook.benchmarks.harness import Meter, Row, Target, counted, peak_mib, timed
from localbook.tropical import DecisionBoundary, ReLUNetwork, decision_boundary
from localbook.tropical.networks import window
from localbook.tropical.regions import layers_of, ties_by_tiles, ties_on_square

SIZES: tuple[tuple[int, ...], ...] = (
    (2, 16, 2), (2, 64, 2), (2, 256, 2), (2, 1024, 2), (2, 4096, 2), (2, 32, 32, 32, 2),
)  # fmt: skip
SEEDS: dict[tuple[int, ...], int] = {(2, 32, 32, 32, 2): 136}  # it has 132 segments
TARGETS: dict[tuple[int, ...], Target] = {
    (2, 1024, 2): Target("value", 80),
    (2, 32, 32, 32, 2): Target("value", 60),
}
WIDE = (2, 512, 512, 2)
_LARGEST = 1024  # neurons up to which the line sort is run
_SMALL = 1024  # neurons from which the growth of memory is judged


def measure(
    meter: Meter, sizes: tuple[tuple[int, ...], ...] = SIZES, wide: tuple[int, ...] = WIDE
) -> Iterator[Row]:
    """Yield times, numbers of segments, residuals and memory; for ``wide``, what tiles gain."""
    peaks = {}
    for widths in sizes:
        net = network(widths, SEEDS.get(widths, 0))
        yield from _time_and_count(meter, widths, net)
        found = decision_boundary(net, BOX)
        yield counted(
            "residual", name(widths), "of the scores", residual(net, found),
            target=Target("value", 1e-13),
        )  # fmt: skip
        if len(widths) == 3 and widths[1] >= _SMALL:
            peaks[widths[1]] = peak = peak_mib(partial(decision_boundary, net, BOX))
            yield counted(
                "peak memory", name(widths), "MiB", peak,
                "p² numbers", 8 * widths[1] ** 2 / 2**20,
                Target("ratio", 1) if widths[1] == max(w[1] for w in sizes) else None,
            )  # fmt: skip
    if len(peaks) > 1:
        small, large = min(peaks), max(peaks)
        yield counted(
            "growth of peak memory", f"p from {small:,} to {large:,}", "times",
            peaks[large] / peaks[small], "p²", (large / small) ** 2, Target("ratio", 1),
        )  # fmt: skip
    yield from _by_tiles(meter, wide)


def _by_tiles(meter: Meter, widths: tuple[int, ...]) -> Iterator[Row]:
    """Yield the time of a wide network's boundary, tile by tile and in one go, and its length."""
    small = window(BOX, network(widths))[1]
    tiles, whole = partial(ties_by_tiles, small), partial(ties_on_square, layers_of(small))
    times = meter.compare({"tiles": tiles, "whole": whole})
    what, size, baseline = "boundary by tiles", name(widths), "the box in one go"
    yield timed(what, size, times["tiles"], baseline, times["whole"])
    lengths = [round(float(np.hypot(*(t.ends[:, 0] - t.ends[:, 1])).sum()), 6)
               for t in (tiles(), whole())]  # fmt: skip
    yield counted(what, size, "length", lengths[0], baseline, lengths[1], Target("equal"))


def _time_and_count(meter: Meter, widths: tuple[int, ...], net: ReLUNetwork) -> Iterator[Row]:
    what, size, target = "boundary", name(widths), TARGETS.get(widths)
    own = partial(decision_boundary, net, BOX)
    baseline, other = _baseline(widths, net)
    times = meter.compare({"own": own} | ({"other": other} if other else {}))
    if target or not other:
        yield timed(what, size, times["own"], target=target)
    if other:
        yield timed(what, size, times["own"], baseline, times["other"])
        yield counted(
            what, size, "segments", len(own().segments), baseline, len(other()), Target("equal")
        )


def _baseline(widths: tuple[int, ...], net: ReLUNetwork) -> tuple[str, Callable[[], Floats] | None]:
    if len(widths) > 3:
        return "cells one by one", partial(segments_one_by_one, net, BOX)
    if widths[1] <= _LARGEST:
        return "line sort, O(p²)", partial(line_sort, net, BOX)
    return "", None


def residual(net: ReLUNetwork, found: DecisionBoundary) -> float:
    """Return the largest |f_i - f_j| on the segments, as a share of the largest score there.

    At five points of each; the largest score counts over the corners of the box, too.
    """
    if not len(found.segments):
        return 0.0
    corners = np.array([(x, y) for x in BOX[0] for y in BOX[1]])
    scale = np.abs(net(np.vstack([corners, found.segments.reshape(-1, 2)]))).max()
    worst = 0.0
    for t in np.linspace(0, 1, 5):
        scores = net((1 - t) * found.segments[:, 0] + t * found.segments[:, 1])
        tied = np.take_along_axis(scores, found.classes, axis=1)
        worst = max(worst, float(np.abs(tied[:, 0] - tied[:, 1]).max()))
    return worst / float(scale)
