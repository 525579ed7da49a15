"""Convex hulls of points in any dimension, degenerate input included."""

from dataclasses import dataclass

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.tolerance import TOLERANCE


@dataclass(frozen=True)
class Face:
    """A face of a hull of dimension one less than the hull.

    Attributes
    ----------
    corners : int array, shape (k,)
        The hull's vertices on it, as rows of the points.
    normal : float array, shape (d,)
        Unit and outward.
    """

    corners: Indices
    normal: Floats


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
    """

    coordinates: Floats
    basis: Floats
    size: float


def affine_span(points: Floats) -> Span:
    """Return the affine span of points, shape (n, d), n ≥ 1."""
    centred = points - points.mean(axis=0)
    size = float(np.linalg.norm(centred, axis=1).max())
    # Differences of large, nearly equal coordinates are rounding errors, not extent.
    if size <= TOLERANCE.contact * np.abs(points).max(initial=0):
        return Span(np.zeros((len(points), 0)), np.zeros((points.shape[1], 0)), 1.0)
    centred /= size
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    basis = axes[lengths > TOLERANCE.flat * lengths[0]].T
    if basis.shape[1] == points.shape[1]:
        basis = np.eye(points.shape[1])
    return Span(centred @ basis, basis, size)


def extreme_points(points: Floats) -> Indices:
    """Return the rows that are vertices of the convex hull of points, shape (n, d), n ≥ 1.

    Of repeated points one is kept. In the plane, or if the points span one, the order is
    counter-clockwise (in the basis of ``affine_span``), from the lowest of the leftmost.
    """
    span = affine_span(points)
    coordinates = span.coordinates
    rank = coordinates.shape[1]
    if rank == 0:
        return np.zeros(1, dtype=np.intp)
    if rank == 1:
        return np.array([coordinates.argmin(), coordinates.argmax()])
    if rank == 2:
        return _planar(coordinates)
    return np.unique(_simplices(coordinates)[0])


def faces(coordinates: Floats) -> list[Face]:
    """Return the faces of the hull of points of full dimension, shape (n, d), d ≥ 2.

    The points are expected to have size about 1, as ``affine_span`` gives them.
    """
    simplices, normals, offsets = _simplices(coordinates)
    vertices = np.unique(simplices)
    found: dict[bytes, Face] = {}
    for normal, offset in zip(normals, offsets, strict=True):
        on = coordinates[vertices] @ normal >= offset - TOLERANCE.contact
        found.setdefault(on.tobytes(), Face(vertices[on], normal))
    return list(found.values())


def _planar(points: Floats) -> Indices:
    """Return the hull's vertices counter-clockwise, by Andrew's monotone chain."""
    order = np.lexsort((points[:, 1], points[:, 0])).tolist()
    x, y = points[:, 0].tolist(), points[:, 1].tolist()
    noise = TOLERANCE.parallel
    lower: list[int] = []
    upper: list[int] = []
    for chain, run in ((lower, order), (upper, order[::-1])):
        for k in run:
            while len(chain) > 1:
                dx, dy = x[k] - x[chain[-1]], y[k] - y[chain[-1]]
                ex, ey = x[chain[-1]] - x[chain[-2]], y[chain[-1]] - y[chain[-2]]
                if ex * dy - ey * dx > noise * (abs(ex) + abs(ey) + abs(dx) + abs(dy)):
                    break
                chain.pop()
            chain.append(k)
    return np.array(lower[:-1] + upper[:-1])


def _simplices(points: Floats) -> tuple[Indices, Floats, Floats]:
    """Return the hull's boundary as simplices (f, d), unit normals (f, d) and offsets (f,).

    Points are added one by one; the simplices that a new point sees *or lies in the plane of* are
    replaced by those that join it to the horizon. Counting the coplanar ones as seen keeps points
    that are no vertices from staying, and new simplices from being flat.

    Raises
    ------
    GeometryError
        If rounding errors have left the boundary open.
    """
    dimension = points.shape[1]
    start = _first_simplex(points)
    inside = points[start].mean(axis=0)
    simplices = np.array([np.delete(start, k) for k in range(dimension + 1)])
    normals, offsets = _planes(points[simplices], inside)
    rest = np.setdiff1d(np.arange(len(points)), start)
    rest = rest[np.argsort(-np.linalg.norm(points[rest] - inside, axis=1), kind="stable")]
    for k in rest:
        heights = normals @ points[k] - offsets
        if heights.max() <= TOLERANCE.contact:
            continue
        seen = heights >= -TOLERANCE.contact
        horizon = _once(_ridges(simplices[seen]))
        new = np.column_stack([horizon, np.full(len(horizon), k)])
        planes = _planes(points[new], inside)
        simplices = np.concatenate([simplices[~seen], new])
        normals = np.concatenate([normals[~seen], planes[0]])
        offsets = np.concatenate([offsets[~seen], planes[1]])
    if len(_once(_ridges(simplices))):
        raise GeometryError(
            "the convex hull of these points does not close, because several lie within rounding "
            "of one plane; round their coordinates."
        )
    return simplices, normals, offsets


def _first_simplex(points: Floats) -> Indices:
    """Return d + 1 points far from one another's spans."""
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    rest = points - points[chosen[0]]
    for _ in range(points.shape[1]):
        lengths = np.linalg.norm(rest, axis=1)
        chosen.append(int(np.argmax(lengths)))
        axis = rest[chosen[-1]] / lengths[chosen[-1]]
        rest = rest - np.outer(rest @ axis, axis)
    return np.array(chosen)


def _planes(corners: Floats, inside: Floats) -> tuple[Floats, Floats]:
    """Return the outward unit normals and offsets of simplices, shape (f, d, d)."""
    edges = corners[:, 1:] - corners[:, :1]  # (f, d - 1, d)
    dimension = corners.shape[2]
    minors = [np.linalg.det(np.delete(edges, k, axis=2)) for k in range(dimension)]
    normals = np.stack(minors, axis=1) * (-1.0) ** np.arange(dimension)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    offsets = np.einsum("fd,fd->f", normals, corners[:, 0])
    outward = np.where(normals @ inside > offsets, -1.0, 1.0)
    return normals * outward[:, None], offsets * outward


def _ridges(simplices: Indices) -> Indices:
    """Return the sides of simplices, shape (f·d, d - 1), each sorted."""
    ordered = np.sort(simplices, axis=1)
    return np.concatenate([np.delete(ordered, k, axis=1) for k in range(simplices.shape[1])])


def _once(ridges: Indices) -> Indices:
    """Keep the rows that occur exactly once."""
    # One number for each row, equal only for equal rows but with probability 2^-64: sorting rows
    # themselves takes ten times as long.
    factors = np.random.default_rng(0).integers(1 << 63, size=ridges.shape[1], dtype=np.uint64)
    codes = (ridges.astype(np.uint64) * factors).sum(axis=1)
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    single: Indices = ridges[first[counts == 1]]
    return single
