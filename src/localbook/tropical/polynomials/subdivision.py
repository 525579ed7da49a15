"""The regular subdivision of a Newton polytope that is dual to a tropical hypersurface."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.tropical.hull import Face, extreme_points, faces
from localbook.tropical.points import Span, affine_span
from localbook.tropical.polynomials.algebra import TropicalPolynomial
from localbook.tropical.tolerance import TOLERANCE


@dataclass(frozen=True, eq=False)
class Subdivision:
    """The regular subdivision of the exponents by the upper hull of the points (e_i, c_i).

    By the lower hull in the min convention.

    Attributes
    ----------
    cells : tuple of int arrays
        The corners of each full-dimensional cell, as monomials. Counter-clockwise if the exponents
        are in the plane and span it. A monomial that ties with others but is no corner is not
        listed.
    points : float array, shape (cells, d)
        For each cell a point where its monomials tie for the maximum: the vertices of the
        hypersurface. If the exponents span less than R^d, the nearest such point to the origin.
    edges : int array, shape (e, 2)
        The edges of the cells: pairs of monomials that tie along a facet of the hypersurface.
    rim : tuple of (int, int array)
        The sides of cells that lie in the boundary of the Newton polytope: the cell, and the
        corners of the side. Empty if the exponents span a line only.
    """

    cells: tuple[Indices, ...]
    points: Floats
    edges: Indices
    rim: tuple[tuple[int, Indices], ...]


def dual_subdivision(polynomial: TropicalPolynomial) -> Subdivision:
    """Return the dual subdivision of a tropical polynomial.

    The cells are the projections of the upper faces of the hull of the points (e_i, c_i); where an
    upper face is the graph of -x·e + k, its monomials tie at x with the value k [1]_. Collinear
    exponents are subdivided along their line; if all lifted points lie on one plane there is one
    cell.

    Parameters
    ----------
    polynomial : TropicalPolynomial

    References
    ----------
    .. [1] D. Maclagan, B. Sturmfels, "Introduction to Tropical Geometry", 2015, proposition 3.1.6.

    Examples
    --------
    >>> from localbook import tropical
    >>> x, y = tropical.variables(2)
    >>> cells = tropical.dual_subdivision(x * x + y * y + 1 * x * y + 0).cells
    >>> len(cells)
    2
    """
    polynomial = polynomial.as_max
    span = affine_span(polynomial.exponents)
    plane = np.column_stack([span.coordinates, np.ones(len(span.coordinates))])
    coefficients = polynomial.coefficients
    slope = np.linalg.lstsq(plane, coefficients, rcond=None)[0]
    lift = coefficients - plane @ slope
    height = float(np.abs(lift).max())
    largest = float(np.abs(coefficients).max())
    if height <= TOLERANCE.contact * largest:
        upper, edges, sides = _one_cell(span)
        rim = [(0, side.corners) for side in sides]
        slopes = np.zeros((1, span.coordinates.shape[1]))
    else:
        noise = max(span.noise, TOLERANCE.rounding * largest / height)
        found = faces(np.column_stack([span.coordinates, lift / height]), noise)
        above = [f for f in found if f.normal[-1] > TOLERANCE.contact]
        upper = [f.corners for f in above]
        edges = _edges(upper, found)
        others = [f.corners for f in found if f.normal[-1] <= TOLERANCE.contact]
        rim = _rim(upper, others, span.coordinates.shape[1])
        slopes = np.array([-f.normal[:-1] / f.normal[-1] for f in above]) * height
    if span.coordinates.shape[1] == 2:
        upper = [_counter_clockwise(span.coordinates, c) for c in upper]
    points = -(slopes + slope[:-1]) @ span.basis.T / span.size
    return Subdivision(tuple(upper), points, edges, tuple(rim))


def essential(polynomial: TropicalPolynomial) -> TropicalPolynomial:
    """Return the same function without the monomials that it can do without.

    Kept are those that exceed all others somewhere: the corners of the dual subdivision.
    """
    kept = np.unique(np.concatenate(dual_subdivision(polynomial).cells))
    return TropicalPolynomial(
        polynomial.exponents[kept], polynomial.coefficients[kept], polynomial.convention
    )


def _one_cell(span: Span) -> tuple[list[Indices], Indices, list[Face]]:
    """Return the only cell, its edges and its sides, for lifted points on one plane."""
    corners = extreme_points(span.coordinates)
    rank = span.coordinates.shape[1]
    if rank == 0:
        return [corners], np.zeros((0, 2), dtype=np.intp), []
    if rank == 1:
        return [corners], np.sort(corners)[None], []
    sides = faces(span.coordinates, span.noise)
    return [corners], _edges([corners], sides), sides


def _rim(cells: list[Indices], others: list[Indices], rank: int) -> list[tuple[int, Indices]]:
    """Return what upper faces have in common with others, if it has one dimension less."""
    cells_of: dict[int, list[int]] = {}
    for number, cell in enumerate(cells if rank > 1 else []):
        for corner in cell.tolist():
            cells_of.setdefault(corner, []).append(number)
    found = set()
    for other in others:
        common: dict[int, list[int]] = {}
        for corner in other.tolist():
            for number in cells_of.get(corner, []):
                common.setdefault(number, []).append(corner)
        found |= {(n, tuple(sorted(side))) for n, side in common.items() if len(side) >= rank}
    return [(number, np.array(side)) for number, side in sorted(found)]


def _edges(cells: list[Indices], sides: list[Face]) -> Indices:
    """Return the pairs of corners of cells that are edges, (e, 2), sorted.

    The smallest face of a polytope that contains two vertices is what all sides containing both
    have in common; it is an edge if that is only these two.
    """
    sets = [set(side.corners.tolist()) for side in sides]
    sides_of: dict[int, set[int]] = {}
    for number, corners in enumerate(sets):
        for corner in corners:
            sides_of.setdefault(corner, set()).add(number)
    pairs = {pair for cell in cells for pair in combinations(np.sort(cell).tolist(), 2)}
    found = []
    for i, j in sorted(pairs):
        common = sides_of[i] & sides_of[j]
        if common and set.intersection(*(sets[number] for number in common)) == {i, j}:
            found.append((i, j))
    return np.array(found, dtype=np.intp).reshape(-1, 2)


def _counter_clockwise(coordinates: Floats, corners: Indices) -> Indices:
    """Sort the corners of a convex polygon by angle about its centre."""
    offset = coordinates[corners] - coordinates[corners].mean(axis=0)
    return corners[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]))]
