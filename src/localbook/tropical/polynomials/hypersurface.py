"""Tropical hypersurfaces in the plane and in space, as exact segments and polygons."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.points import orthogonal_basis
from localbook.tropical.polynomials.algebra import TropicalPolynomial
from localbook.tropical.polynomials.subdivision import Subdivision, dual_subdivision
from localbook.tropical.tolerance import TOLERANCE, finite


@dataclass(frozen=True, eq=False)
class Hypersurface:
    """The points where two monomials of a tropical polynomial win, inside a box.

    Attributes
    ----------
    pieces : tuple of float arrays, shape (k, d)
        In the plane segments, k = 2; in space convex polygons, their corners in order.
    pairs : int array, shape (pieces, 2)
        The two monomials that tie on each piece.
    """

    pieces: tuple[Floats, ...]
    pairs: Indices

    @property
    def segments(self) -> Floats:
        """The pieces in the plane as one array, shape (m, 2, 2); GeometryError in space."""
        if self.pieces and self.pieces[0].shape[1] != 2:
            raise GeometryError("a hypersurface in space has polygons; use its pieces.")
        return np.reshape(np.array(self.pieces), (-1, 2, 2))


def hypersurface(polynomial: TropicalPolynomial, box: ArrayLike) -> Hypersurface:
    """Return the tropical hypersurface of a polynomial in two or three variables, cut to a box.

    Each edge (i, j) of the dual subdivision gives the piece of the plane c_i + e_i·x = c_j + e_j·x
    on which no monomial of a cell with this edge is larger.

    Parameters
    ----------
    polynomial : TropicalPolynomial
    box : array_like, shape (d, 2)
        The least and the greatest value of each variable.

    Raises
    ------
    GeometryError
        If there are not two or three variables, or the box is empty.

    Examples
    --------
    >>> from localbook import tropical
    >>> x, y = tropical.variables(2)
    >>> line = tropical.hypersurface(x + y + 0, [(-1, 1), (-1, 1)])
    >>> len(line.segments)
    3
    """
    dimension = polynomial.dimension
    if dimension not in (2, 3):
        raise GeometryError(
            f"a hypersurface is drawn in 2 or 3 variables, not {dimension}; fix the others first."
        )
    low, high = finite(box, "the box", (dimension, 2)).T
    if not (low < high).all():
        raise GeometryError("the box is empty; give (least, greatest) for each variable.")
    polynomial = polynomial.as_max
    subdivision = dual_subdivision(polynomial)
    rivals = _rivals(subdivision)
    contact = TOLERANCE.contact * float(np.abs([low, high]).max() + np.linalg.norm(high - low))
    if dimension == 2:
        segments, kept = _segments(polynomial, subdivision.edges, rivals, low, high)
        long = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1) > contact
        return Hypersurface(tuple(segments[long]), subdivision.edges[kept][long])
    pieces, pairs = [], []
    for edge, others in zip(subdivision.edges, rivals, strict=True):
        piece = _polygon(polynomial, edge, others, low, high)
        piece = piece[np.linalg.norm(piece - np.roll(piece, 1, axis=0), axis=1) > contact]
        if len(piece) > 2 and _width(piece) > contact:
            pieces.append(piece)
            pairs.append(edge)
    return Hypersurface(tuple(pieces), np.reshape(np.array(pairs, dtype=np.intp), (-1, 2)))


def _rivals(subdivision: Subdivision) -> list[Indices]:
    """Return for each edge the other corners of the cells that it belongs to."""
    cells = [set(cell.tolist()) for cell in subdivision.cells]
    cells_of: dict[int, set[int]] = {}
    for number, cell in enumerate(cells):
        for corner in cell:
            cells_of.setdefault(corner, set()).add(number)
    found = []
    for i, j in subdivision.edges.tolist():
        around: set[int] = set().union(*(cells[c] for c in cells_of[i] & cells_of[j]))
        found.append(np.array(sorted(around - {i, j}), dtype=np.intp))
    return found


def _segments(
    polynomial: TropicalPolynomial,
    edges: Indices,
    rivals: list[Indices],
    low: Floats,
    high: Floats,
) -> tuple[Floats, Indices]:
    """Return the segments in the box, shape (m, 2, 2), and the edges they belong to, (m,)."""
    exponents, coefficients = polynomial.exponents, polynomial.coefficients
    first, second = edges.T
    normal = exponents[first] - exponents[second]  # (e, 2)
    squares = (normal**2).sum(axis=1)
    centre = (low + high) / 2
    excess = normal @ centre + coefficients[first] - coefficients[second]
    foot = centre - normal * (excess / squares)[:, None]
    along = np.stack([-normal[:, 1], normal[:, 0]], axis=1) / np.sqrt(squares)[:, None]
    # Every condition a·x + b ≥ 0 on an edge's line bounds its parameter from one side.
    count = np.arange(len(edges))
    owner = np.concatenate([np.repeat(count, [len(r) for r in rivals]), np.repeat(count, 4)])
    other = np.concatenate([*rivals, np.zeros(0, dtype=np.intp)])
    mine = first[owner[: len(other)]]
    box = np.vstack([np.eye(2), -np.eye(2)])
    gradients = np.vstack([exponents[mine] - exponents[other], np.tile(box, (len(edges), 1))])
    constants = np.concatenate(
        [coefficients[mine] - coefficients[other], np.tile([*-low, *high], len(edges))]
    )
    at_foot = np.einsum("kd,kd->k", gradients, foot[owner]) + constants
    rate = np.einsum("kd,kd->k", gradients, along[owner])
    bound = np.divide(-at_foot, rate, out=np.zeros_like(rate), where=rate != 0)
    least, greatest = np.full(len(edges), -np.inf), np.full(len(edges), np.inf)
    np.maximum.at(least, owner[rate > 0], bound[rate > 0])
    np.minimum.at(greatest, owner[rate < 0], bound[rate < 0])
    least[owner[(rate == 0) & (at_foot < 0)]] = np.inf
    kept = np.flatnonzero(least < greatest)
    ends = np.stack([least, greatest], axis=1)[kept]
    return foot[kept, None] + ends[..., None] * along[kept, None], kept


def _polygon(
    polynomial: TropicalPolynomial, edge: Indices, others: Indices, low: Floats, high: Floats
) -> Floats:
    """Return the polygon in the box on which the two monomials of an edge tie, shape (k, 3)."""
    exponents, coefficients = polynomial.exponents, polynomial.coefficients
    i, j = edge
    piece = _across_box(exponents[i] - exponents[j], coefficients[i] - coefficients[j], low, high)
    for k in others:
        piece = _cut(piece, exponents[i] - exponents[k], coefficients[i] - coefficients[k])
    return piece


def _across_box(normal: Floats, offset: float, low: Floats, high: Floats) -> Floats:
    """Return the part of the plane normal·x + offset = 0 inside the box, shape (k, 3)."""
    length = float(np.linalg.norm(normal))
    centre, reach = (low + high) / 2, float(np.linalg.norm(high - low))
    foot = centre - normal * ((normal @ centre + offset) / length**2)
    basis = orthogonal_basis(normal / length).T * reach  # (2, 3)
    piece = foot + np.vstack([basis, -basis])
    for unit, least, greatest in zip(np.eye(3), low, high, strict=True):
        piece = _cut(_cut(piece, unit, -least), -unit, greatest)
    return piece


def _cut(corners: Floats, normal: Floats, offset: float) -> Floats:
    """Return the part of a convex polygon, shape (k, 3), where normal·x + offset ≥ 0."""
    heights = corners @ normal + offset
    inside = heights >= 0
    if inside.all():
        return corners
    following = np.roll(heights, -1)
    crossed = inside != (following >= 0)
    drop = np.where(crossed, heights - following, 1.0)
    meeting = corners + (heights / drop)[:, None] * (np.roll(corners, -1, axis=0) - corners)
    both = np.stack([corners, meeting], axis=1).reshape(-1, 3)
    kept: Floats = both[np.stack([inside, crossed], axis=1).ravel()]
    return kept


def _width(polygon: Floats) -> float:
    """Return the area by the distance of the farthest corners from the first."""
    spokes = polygon[1:] - polygon[0]
    area = np.linalg.norm(np.cross(spokes[:-1], spokes[1:]).sum(axis=0)) / 2
    return float(area) / float(np.linalg.norm(spokes, axis=1).max())
