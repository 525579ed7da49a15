"""Which points are the same, what they span, and what is at right angles to a vector."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.tropical.tolerance import TOLERANCE


@cache
def _generic_line(dimension: int) -> Floats:
    """Return a unit vector that no figure was made to be at right angles to, the same always."""
    line = np.random.default_rng(1).normal(size=dimension)
    line /= np.linalg.norm(line)
    line.flags.writeable = False
    return line


def same_points(points: Floats, tolerance: float, *, up_to_sign: bool = False) -> Indices:
    """Return for each point (n, d) the index of the one that stands for it and those like it.

    Alike are points of which no coordinate differs by more than the tolerance, if asked for up to
    sign. Near points have near projections on any line, so sorting along one
    generic line leaves few candidates; each is then compared with the first of its run.
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
        same = ~(apart > tolerance)  # NaN too, so that the rest always shrinks
        label[order[same]] = leader[same]
        order, run = order[~same], run[~same]
    return label


@dataclass(frozen=True)
class Span:
    """The affine span of points, and their coordinates in it.

    Attributes
    ----------
    coordinates : float array, shape (n, r)
        In an orthonormal basis, centred, divided by ``size``.
    basis : float array, shape (d, r)
    size : float
        The largest distance of a point from the centre; 1 if there is only one point.
    noise : float
        How far rounding may have moved a coordinate.
    """

    coordinates: Floats
    basis: Floats
    size: float
    noise: float


def affine_span(points: Floats) -> Span:
    """Return the affine span of points, shape (n, d), n ≥ 1."""
    centred = points - points.mean(axis=0)
    size = float(np.linalg.norm(centred, axis=1).max())
    largest = float(np.abs(points).max(initial=0))
    # Differences of large, nearly equal coordinates are rounding errors, not extent.
    if size <= TOLERANCE.contact * largest:
        return Span(np.zeros((len(points), 0)), np.zeros((points.shape[1], 0)), 1.0, 0.0)
    noise = TOLERANCE.rounding * max(1.0, largest / size)
    centred /= size
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    basis = axes[lengths > max(TOLERANCE.flat, noise) * lengths[0]].T
    if basis.shape[1] == points.shape[1]:
        basis = np.eye(points.shape[1])
    return Span(centred @ basis, basis, size, noise)


def orthogonal_basis(unit: Floats) -> Floats:
    """Return an orthonormal basis, shape (r, r - 1), of the complement of a unit vector."""
    pivot = int(np.argmax(np.abs(unit)))
    # Householder: the reflection that takes ±e_pivot to the vector takes the other e_k to a basis.
    normal = unit.copy()
    normal[pivot] += np.copysign(1.0, unit[pivot])
    reflection = np.eye(len(unit)) - np.outer(normal, normal) * (2 / (normal @ normal))
    return np.delete(reflection, pivot, axis=1)
