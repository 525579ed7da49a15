"""Merging of parallel vectors, and of points that are the same within the tolerance."""

from functools import cache

import numpy as np

from localbook.arrays import Floats, Indices


@cache
def _generic_line(dimension: int) -> Floats:
    """Return a unit vector that no figure was made to be at right angles to, the same always."""
    line = np.random.default_rng(1).normal(size=dimension)
    line /= np.linalg.norm(line)
    line.flags.writeable = False
    return line


def same_points(points: Floats, tolerance: float, *, up_to_sign: bool = False) -> Indices:
    """Label points so that those within ``tolerance`` of one another share a label.

    Near points have near projections on any line, so sorting along one generic line leaves few
    candidates; each is then compared with the first of its run.

    Parameters
    ----------
    points : float array, shape (n, d)
    tolerance : float
        The largest difference of a coordinate.
    up_to_sign : bool
        Whether x and -x count as the same.

    Returns
    -------
    int array, shape (n,)
        For each point the index of the point that stands for it.
    """
    position = points @ _generic_line(points.shape[1])
    if up_to_sign:
        position = np.abs(position)
    order = np.argsort(position, kind="stable")
    # Coordinates differ by up to the tolerance each, so projections by √d times that.
    reach = 2 * np.sqrt(points.shape[1]) * tolerance
    position = position[order]
    gaps = position[1:] - position[:-1] > reach
    label = np.arange(len(points))
    if gaps.all():
        return label
    run = np.concatenate([[0], np.cumsum(gaps)])
    while len(order):
        start = np.flatnonzero(np.diff(run, prepend=-1))
        leader = order[start][np.searchsorted(run[start], run)]
        apart = np.abs(points[order] - points[leader]).max(axis=1)
        if up_to_sign:
            apart = np.minimum(apart, np.abs(points[order] + points[leader]).max(axis=1))
        same = apart <= tolerance
        label[order[same]] = leader[same]
        order, run = order[~same], run[~same]
    return label


def merge_parallel(
    vectors: Floats, payload: Floats, tolerance: float
) -> tuple[Floats, Floats, Floats]:
    """Add up the payloads of parallel vectors.

    A vector opposite to the one that stands for its direction is turned, -g for g, and its payload
    g is added to the base, since [0, 1]·g = g + [0, 1]·(-g).

    Parameters
    ----------
    vectors : float array, shape (p, r)
        Non-zero.
    payload : float array, shape (p, q)
    tolerance : float
        The largest difference of unit vectors that are the same.

    Returns
    -------
    vectors : float array, shape (m, r)
        One unit vector for each direction.
    payload : float array, shape (m, q)
    base : float array, shape (q,)
        The payload to add to every chamber's sum.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    label = same_points(unit, tolerance, up_to_sign=True)
    if (label == np.arange(len(label))).all():
        return unit, payload, np.zeros(payload.shape[1])
    leaders, group = np.unique(label, return_inverse=True)
    turned = np.einsum("pr,pr->p", unit, unit[label]) < 0
    summed = np.zeros((len(leaders), payload.shape[1]))
    np.add.at(summed, group, np.where(turned[:, None], -payload, payload))
    return unit[leaders], summed, payload[turned].sum(axis=0)
