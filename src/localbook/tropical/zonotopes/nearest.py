"""Which points lie in a zonotope, and what is nearest to the others."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats
from localbook.tropical.tolerance import TOLERANCE


def in_polygon(points: Floats, vertices: Floats, margin: float) -> NDArray[np.bool_]:
    """Tell which points (n, 2) lie in a planar zonotope or within a margin of it.

    Its vertices (v, 2) are counter-clockwise from the lowest and not flat; O(log v) a point.
    """
    half = len(vertices) // 2
    right = vertices[: half + 1]  # from the lowest vertex to the highest
    edges = np.diff(right, axis=0)
    edges /= np.hypot(edges[:, 0], edges[:, 1])[:, None]
    heights = np.maximum.accumulate(right[:, 1])
    inside = np.ones(len(points), dtype=bool)
    # The left side is the right side seen from the opposite points.
    for side in (points, vertices[0] + vertices[half] - points):
        at = np.clip(np.searchsorted(heights, side[:, 1], side="right") - 1, 0, half - 1)
        offset = side - right[at]
        inside &= edges[at, 0] * offset[:, 1] - edges[at, 1] * offset[:, 0] >= -margin
        inside &= side[:, 1] >= heights[0] - margin
    return inside


def nearest_points(points: Floats, generators: Floats, shift: Floats) -> Floats:
    """Return the point of shift + Σ [0, 1]·g_i that is nearest to each point, shape (n, d)."""

    def farthest_from(point: Floats) -> Callable[[Floats], Floats]:
        start = shift - point
        return lambda u: start + (generators @ u > 0) @ generators

    size = float(np.abs(generators).sum())
    nearest = [_nearest_to_origin(farthest_from(p), size, p - shift) for p in points]
    return points + np.reshape(nearest, points.shape)


def _nearest_to_origin(
    farthest: Callable[[Floats], Floats], size: float, direction: Floats
) -> Floats:
    """Return the point of a convex set that is nearest to 0, by Wolfe's algorithm (1976).

    ``farthest`` gives a point of the set that is farthest in a direction, ``size`` bounds its
    diameter, and ``direction`` (d,) is where to look first.
    """
    corral = farthest(direction)[None]
    weights = np.ones(1)
    previous = np.inf
    while True:
        nearest = weights @ corral
        distance = float(np.linalg.norm(nearest))
        scale = TOLERANCE.nearest * (size + distance)
        # Every step comes nearer, but for rounding; so this ends.
        if distance <= scale or not distance < previous:
            return nearest
        new = farthest(-nearest)
        # The plane through ``new`` that is at right angles to ``nearest`` bounds the distance.
        if distance - (new @ nearest) / distance <= scale:
            return nearest
        previous = distance
        corral = np.vstack([corral, new])
        weights, kept = _nearest_in_simplex(corral, np.append(weights, 0.0))
        corral = corral[kept]


def _nearest_in_simplex(corners: Floats, weights: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Move from given weights to those of the point nearest to 0; say which corners are left."""
    kept = np.arange(len(corners))
    while True:
        first, rest = corners[kept[0]], corners[kept[1:]] - corners[kept[0]]
        free = np.linalg.lstsq(rest.T, -first, rcond=None)[0]
        target = np.append(1 - free.sum(), free)
        leaving = target <= TOLERANCE.nearest
        if not leaving.any():
            return target, kept
        gap = np.maximum(weights[leaving] - target[leaving], np.finfo(np.float64).tiny)
        weights = weights + min(1.0, float((weights[leaving] / gap).min())) * (target - weights)
        weights[leaving & (weights <= weights[leaving].min())] = 0
        kept, weights = kept[weights > 0], weights[weights > 0]
        weights = weights / weights.sum()
