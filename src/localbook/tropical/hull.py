"""Convex hulls of points in any dimension by Qhull, degenerate and nearly degenerate ones too.

Ours is what goes before and after: the points are brought to their span and made round there, a
tolerance follows from how they were rounded, and what lies within it of the hull of the others is
no vertex.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.points import affine_span
from localbook.tropical.tolerance import TOLERANCE, finite


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
    white, to_white, tolerance = _rounded(coordinates, span.noise)
    vertices = _vertices(white, tolerance, _hull(white, tolerance))
    if rank > 2:
        return vertices
    x, y = (white[vertices] - white[vertices].mean(axis=0)).T
    vertices = vertices[np.argsort(np.arctan2(y * np.linalg.det(to_white), x), kind="stable")]
    return np.roll(vertices, -int(np.lexsort(coordinates[vertices].T[::-1])[0]))


def minkowski_sum(first: ArrayLike, second: ArrayLike) -> Floats:
    """Return the vertices of {x + y : x in one polytope, y in the other}, shape (v, d).

    Parameters
    ----------
    first, second : array_like, shape (n, d) and (m, d)
        Points whose convex hulls are added. Zonotopes have a faster way, their own method.

    Returns
    -------
    float array, shape (v, d)
        Each once; counter-clockwise in the plane.

    Raises
    ------
    GeometryError
        If an array is not of finite points, they have none or are of different dimensions.

    Examples
    --------
    >>> from localbook import tropical
    >>> triangle = [[0, 0], [1, 0], [0, 1]]
    >>> tropical.minkowski_sum(triangle, [[0, 0], [1, 1]]).tolist()
    [[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [1.0, 2.0], [0.0, 1.0]]
    """
    one = finite(first, "the first polytope", (None, None))
    other = finite(second, "the second polytope", (None, one.shape[1]))
    if not one.size or not len(other):
        raise GeometryError("a Minkowski sum needs points of both polytopes; give some of each.")
    one, other = one[extreme_points(one)], other[extreme_points(other)]
    sums: Floats = (one[:, None] + other).reshape(-1, one.shape[1])
    return sums[extreme_points(sums)]


def faces(coordinates: Floats, noise: float) -> list[Face]:
    """Return the faces of the hull of points of full dimension, shape (n, d), d ≥ 2.

    The points are expected to have size about 1, as ``affine_span`` gives them.
    """
    white, to_white, tolerance = _rounded(coordinates, noise)
    hull = _hull(white, tolerance)
    vertices = _vertices(white, tolerance, hull)
    if len(vertices) < len(hull.vertices):
        hull = _hull(white[vertices], tolerance)
    found: dict[bytes, Face] = {}
    for *plane, offset in hull.equations:
        on = white[vertices] @ plane >= -offset - 4 * tolerance
        normal = to_white @ plane
        found.setdefault(on.tobytes(), Face(vertices[on], normal / np.linalg.norm(normal)))
    return list(found.values())


def _rounded(points: Floats, noise: float) -> tuple[Floats, Floats, float]:
    """Return points W = (P - mean) M of unit spread in all directions, M and their tolerance."""
    centred = points - points.mean(axis=0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    spread = lengths / np.sqrt(len(points))
    to_white = axes.T / spread
    return centred @ to_white, to_white, max(TOLERANCE.contact, noise / float(spread[-1]))


def _vertices(points: Floats, tolerance: float, hull: Any) -> Indices:
    """Return those of the hull's vertices that are not within the tolerance of the others' hull."""
    margins = _margins(points, hull)
    kept: Indices = np.sort(hull.vertices).astype(np.intp)
    doubtful = kept[margins[kept] <= 4 * tolerance]
    if len(doubtful):
        from scipy.optimize import nnls
    for vertex in doubtful[np.argsort(margins[doubtful], kind="stable")]:
        others = kept[kept != vertex]
        # The distance to the hull of the others: λ ≥ 0 with Σλ (w - v) = 0 and Σλ = 1.
        system = np.vstack([(points[others] - points[vertex]).T, np.ones(len(others))])
        if nnls(system, np.append(np.zeros(points.shape[1]), 1.0))[1] <= tolerance:
            kept = others
    return kept


def _hull(points: Floats, tolerance: float) -> Any:
    """Return Qhull's answer to the first options with which it has one that leaves no point out."""
    from scipy.spatial import ConvexHull, QhullError

    for options in (f"Qt Qc C-{tolerance}", "Qt Qc", "QJ"):
        try:
            hull = ConvexHull(points, qhull_options=options)
        except QhullError:
            continue
        near = points[hull.coplanar[:, 0]]  # all others are inside
        heights = near @ hull.equations[:, :-1].T + hull.equations[:, -1]
        if heights.max(initial=0) <= 4 * tolerance:
            return hull
    digits = int(-np.log10(tolerance)) - 3
    raise GeometryError(
        "which of these points are vertices is lost in their rounding: several lie within "
        f"{tolerance:.0e} of one plane, but not in it; round them to {digits} digits."
    )


def _margins(points: Floats, hull: Any) -> Floats:
    """Return for each vertex how far, along its mean normal, it is above the nearest one (n,)."""
    simplices, normals, count = hull.simplices, hull.equations[:, :-1], len(points)
    corner, dimension = simplices.ravel(), simplices.shape[1]
    spread = np.repeat(normals, dimension, axis=0).T
    mean: Floats = np.stack(
        [np.bincount(corner, c, count) for c in spread], axis=1, dtype=np.float64
    )
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), TOLERANCE.zero)
    margins = np.full(count, np.inf)
    for turn in range(1, dimension):
        other = np.roll(simplices, turn, axis=1).ravel()
        heights = np.einsum("kd,kd->k", mean[corner], points[corner] - points[other])
        np.minimum.at(margins, corner, heights)
    return margins
