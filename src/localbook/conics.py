"""A square cut along conics: where the signs of quadratic forms in (1, x, y) change."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import Polynomial
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from localbook.arrays import Box, Floats, Indices, Masks
from localbook.errors import GeometryError

# Of the square from -1 to 1 and forms whose largest coefficient is 1. These are not those of
# localbook.tropical: a root too many does no harm here, so much is taken for one.
_NO_SQUARE = 1e-9  # a coefficient of v² this small is none
_NO_POWER = 1e-13  # nor is a leading coefficient this small beside a polynomial's largest
_NEARLY_REAL = 1e-3  # rounding splits a fourfold root into complex ones about 1e-4 apart
_ONE_PLACE = 1e-7  # ends of strips this near to one another are one
_END = 1e-9  # share of a strip left out at each end, where curves are upright or meet
_NO_CELL = 1e-9  # two curves this near to one another are one, with no cell between
_CORNER = 1e-6  # cells side by side that share no more than this meet in a corner only
_TINIEST = 1e-300  # keeps a quotient finite; no tolerance: only zero is less


@dataclass(frozen=True, eq=False)
class ConicPieces:
    """The pieces of a box on which every form keeps its sign, made of cells between curves.

    Attributes
    ----------
    polygons : list of float arrays, shape (k, 2)
        The cells; a curved side is drawn by corners that lie on it.
    patterns : bool array, shape (cells, forms)
        Where each form is positive.
    piece : int array, shape (cells,)
        The number of the piece that a cell is part of.
    folds, boundary : float arrays, shape (m, 2, 2)
        Chords of the curves on which a form is zero, and of those on which the sum is.
    """

    polygons: list[Floats]
    patterns: Masks
    piece: Indices
    folds: Floats
    boundary: Floats

    def __len__(self) -> int:
        return int(self.piece.max()) + 1


def conic_pieces(
    forms: Floats, weights: Floats, bias: float, box: Box, *, corners: int = 24
) -> ConicPieces:
    """Cut a box along the zeros of forms, and along those of Σ_k w_k max(0, form_k) + c.

    Exact up to rounding: strips end where a curve is upright, ends, meets another or the border,
    at roots of polynomials of degree at most four; between, curves are graphs. A root too many does
    no harm: so those that are nearly real are used as well, and no split double root is lost.

    Forms (m, 3, 3) are symmetric, A_k at x being (1, x)ᵀ A_k (1, x), with weights (m,). A curve
    across the whole box ((x0, x1), (y0, y1)) is drawn with about so many ``corners``.
    """
    low, high = np.array(box, dtype=float).T
    if not (low < high).all():
        raise GeometryError(f"box {box}: give one with an area.")
    centre, half = (low + high) / 2, (high - low) / 2
    to_square = np.diag([1.0, *half])
    to_square[1:, 0] = centre
    A = to_square.T @ forms @ to_square
    unit = A / np.maximum(np.abs(A).max(axis=(1, 2), keepdims=True), _TINIEST)

    polygons: list[Floats] = []
    patterns: list[Masks] = []
    links: list[tuple[int, int]] = []  # cells of one piece that touch
    folds: list[Floats] = []
    before: list[tuple[int, Floats, Floats]] = []
    places = [place for k, q in enumerate(unit) for place in _places(q, unit[:k])]
    for u in _strips(places, corners):
        curves = _inside(unit, u)
        folds += [np.column_stack([u, v]) for v in curves]
        here, m = [], len(u) // 2
        for low, high in pairwise([0 * u - 1, *curves, 0 * u + 1]):
            if high[m] - low[m] > _NO_CELL:
                here.append((len(polygons), low, high))
                patterns.append(_values(A, u[m], (low[m] + high[m]) / 2) > 0)
                polygons.append(np.column_stack([[*u, *u[::-1]], [*low, *high[::-1]]]))
        touch = [(i, k) for (i, *_), (k, *_) in pairwise(here)] + [
            (i, k)
            for i, low, high in before
            for k, under, over in here
            if min(high[-1], over[0]) - max(low[-1], under[0]) > _CORNER
        ]
        links += [(i, k) for i, k in touch if (patterns[i] == patterns[k]).all()]
        before = here

    boundary: list[Floats] = []
    for pattern in np.unique(patterns, axis=0):
        S = np.einsum("k,kab->ab", weights * pattern, A) + bias * np.diag([1.0, 0, 0])
        for u in _strips([*places, *_places(S / (np.abs(S).max() or 1), unit)], corners):
            for v in _inside(S[None], u):
                if ((_values(A, u[len(u) // 2], v[len(u) // 2]) > 0) == pattern).all():
                    boundary.append(np.column_stack([u, v]))

    i, k = np.array(links, dtype=np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(i)), (i, k)), shape=(len(patterns),) * 2)
    piece: Indices = connected_components(graph, directed=False)[1]
    folds_, boundary_ = (_chords(curves) * half + centre for curves in (folds, boundary))
    cells = [polygon * half + centre for polygon in polygons]
    return ConicPieces(cells, np.array(patterns), piece, folds_, boundary_)


def _values(A: Floats, u: float, v: float) -> Floats:
    point = np.array([1.0, u, v])
    found: Floats = point @ A @ point
    return found


def _by_v(q: Floats) -> tuple[Polynomial, Polynomial, Polynomial]:
    """Return the coefficients of v², v and 1, polynomials in u."""
    alone = [q[0, 0], 2 * q[0, 1], q[1, 1]]
    return Polynomial(q[2, 2:]), Polynomial(2 * q[:2, 2]), Polynomial(alone)


_BORDER = np.array([[[side, 0, 0.5], [0, 0, 0], [0.5, 0, 0]] for side in (-1, 1)])  # v = ±1


def _places(q: Floats, others: Floats) -> Floats:
    """Return all u at which the curve of q is upright, ends, or meets another or v = ±1."""
    a, b, c = _by_v(q)
    flat = abs(q[2, 2]) < _NO_SQUARE
    found = [b * b - 4 * a * c, *((b, c) if flat else ())]
    for other in (*others, *_BORDER):
        A, B, C = _by_v(other)
        found.append((a * C - c * A) ** 2 - (a * B - b * A) * (b * C - c * B))  # the resultant
        if flat and abs(other[2, 2]) < _NO_SQUARE:
            found.append(b * C - c * B)
    roots = np.concatenate([p.trim(_NO_POWER * np.abs(p.coef).max()).roots() for p in found])
    real: Floats = roots.real[np.abs(roots.imag) < _NEARLY_REAL]
    return real


def _strips(places: Iterable[float], corners: int) -> Iterator[Floats]:
    """Yield where each strip's sides get corners (k,), closer at its ends, where curves bend."""
    ends = np.unique([-1.0, 1.0, *(place for place in places if -1 < place < 1 - _ONE_PLACE)])
    for start, end in pairwise(ends[np.insert(np.diff(ends) > _ONE_PLACE, 0, True)]):
        turn = np.cos(np.linspace(np.pi, 0, 5 + 2 * round(corners * (end - start) / 4)))
        yield (start + end) / 2 + (0.5 - _END) * (end - start) * turn


def _inside(forms: Floats, u: Floats) -> Floats:
    """Return the curves of forms over a strip that run in the square, from below (k, len(u))."""
    curves, middle = [np.zeros((0, len(u)))], len(u) // 2
    for q in forms:
        a, b, c = (part(u) for part in _by_v(q))
        square = b * b - 4 * a * c
        if square[middle] > 0:
            root = np.sqrt(np.maximum(square, 0))
            far = -(b + np.where(b < 0, -root, root)) / 2  # the larger of both: nothing cancels
            with np.errstate(divide="ignore", invalid="ignore"):
                curves.append(np.sort([far / a, c / far], axis=0))
    found = np.concatenate(curves)
    found = found[np.abs(found[:, middle]) < 1]
    return np.clip(found[np.argsort(found[:, middle])], -1, 1)


def _chords(curves: list[Floats]) -> Floats:
    return np.concatenate([np.zeros((0, 2, 2)), *(np.stack([c[:-1], c[1:]], 1) for c in curves)])
