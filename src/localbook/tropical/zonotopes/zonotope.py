"""Zonotopes: Minkowski sums of segments."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localbook.arrays import Floats, Indices, Masks
from localbook.errors import GeometryError
from localbook.tropical.tolerance import TOLERANCE, finite
from localbook.tropical.zonotopes.chambers import chambers
from localbook.tropical.zonotopes.faces import face_corners
from localbook.tropical.zonotopes.labels import merge_parallel
from localbook.tropical.zonotopes.nearest import in_polygon, nearest_points
from localbook.tropical.zonotopes.space import sums_by_pairs
from localbook.tropical.zonotopes.volume import sum_of_determinants

_BLOCK = 1 << 20  # products held at once
_BEYOND = "the result is beyond the largest float64: divide the generators by their length first."
_LARGE = 1e100  # from here on, as from its inverse down, lengths are scaled before use


@dataclass(frozen=True, eq=False, repr=False)
class Zonotope:
    """The set shift + Σ_i [0, 1]·g_i.

    Attributes
    ----------
    generators : float array, shape (p, d)
        The g_i; p may be 0, and generators may be zero, parallel or repeated.
    shift : float array, shape (d,)
        The origin when left out.

    Raises
    ------
    GeometryError
        If an array has another shape or entries that are not finite, or d = 0.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> square = tropical.Zonotope(np.eye(2))
    >>> hexagon = tropical.Zonotope([[1, 0], [0, 1], [1, 1]], shift=[0, 0])
    >>> len(square.vertices()), len(hexagon.vertices())
    (4, 6)
    >>> hexagon.support([1.0, 0.0]).item()
    2.0
    """

    generators: Floats
    shift: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        shift, rows = self.shift, "the generators of a zonotope"
        if not np.size(shift):
            shift = np.zeros(finite(self.generators, rows, (None, None)).shape[1])
        shift = finite(shift, "the shift of a zonotope", (None,))
        if not len(shift):
            raise GeometryError("a zonotope needs at least one dimension; give longer generators.")
        generators = finite(self.generators, rows, (None, len(shift)))
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "generators", generators)

    def __repr__(self) -> str:
        return f"Zonotope of {len(self.generators)} generators in R^{self.dimension}"

    @property
    def dimension(self) -> int:
        """The dimension d of the space around."""
        return len(self.shift)

    @property
    def centre(self) -> Floats:
        """The point that the zonotope is symmetric about, shape (d,)."""
        centre: Floats = self.shift + self.generators.sum(axis=0) / 2
        return centre

    def support(self, directions: ArrayLike) -> Floats:
        """Return max {u·x : x in the zonotope} for each direction u.

        Parameters
        ----------
        directions : array_like, shape (..., d)

        Returns
        -------
        float array, shape (...)

        Raises
        ------
        GeometryError
            If a value is beyond the largest float64.
        """
        shape = np.shape(directions)
        flat = finite(
            np.reshape(directions, (-1, shape[-1] if shape else 1)),
            "the directions",
            (None, self.dimension),
        )
        block = max(1, _BLOCK // (len(self.generators) + 1))
        with np.errstate(over="ignore", invalid="ignore"):
            values = flat @ self.shift
            for k in range(0, len(flat), block):
                products = flat[k : k + block] @ self.generators.T
                values[k : k + block] += np.maximum(products, 0, out=products).sum(axis=1)
        return _within_range(values).reshape(shape[:-1])

    def merged(self) -> "Zonotope":
        """Return the same set without zero generators and with parallel ones added up."""
        vectors, base, scale = self._merged()
        return Zonotope(_times(vectors, scale), self.shift + _times(base, scale))

    def vertices(self) -> Floats:
        """Return the vertices, each once.

        Returns
        -------
        float array, shape (v, d)
            Counter-clockwise from the lowest in the plane. In general position
            v = 2 Σ_{i<d} C(p - 1, i); the work is O(p log p) in the plane, O(p² log p) in space
            and in proportion to v·p² beyond.

        Raises
        ------
        GeometryError
            If there may be tens of millions of them beyond the plane.
        """
        vectors, scale = self._non_zero()
        if self.dimension == 2:
            sums = chambers(vectors, vectors) if len(vectors) else np.zeros((1, 2))
            return _moved(_times(sums, scale), self.shift)
        if self.dimension == 3 and (found := sums_by_pairs(vectors, vectors)) is not None:
            return _moved(_times(found, scale), self.shift)
        vectors, base, scale = self._merged()
        sums = chambers(_in_their_span(vectors), vectors)
        return _moved(_times(sums, scale), self.shift + _times(base, scale))

    def chambers(self) -> Masks:
        """Return which generators are added up at each vertex: the signs that g·u can have.

        Returns
        -------
        bool array, shape (v, p)
            A row for each chamber of the directions u: whether g_i·u > 0. A generator that is zero
            next to the longest is never positive.

        Examples
        --------
        >>> import numpy as np
        >>> from localbook import tropical
        >>> tropical.Zonotope(np.eye(2), np.zeros(2)).chambers().sum(axis=1).tolist()
        [1, 2, 1, 0]
        """
        sizes = np.abs(self.generators).max(axis=1, initial=0)
        kept = sizes > TOLERANCE.zero * sizes.max(initial=0)
        unit = self.generators[kept] / sizes[kept, None]
        own = np.eye(len(sizes))[kept]
        unit, own, base = merge_parallel(unit, own, TOLERANCE.parallel)
        positive: Masks = chambers(_in_their_span(unit), own) + base > 0.5
        return positive

    def faces(self) -> list[Indices]:
        """Return the corners of each face of a three-dimensional zonotope.

        Returns
        -------
        list of int arrays, shape (2k,) each
            Rows of ``vertices()``, counter-clockwise seen from outside; k generators span the face.

        Raises
        ------
        GeometryError
            If the zonotope is not in R^3 or is flat, or if generators are so nearly in one plane
            that the faces do not close.
        """
        span = _in_their_span(self._merged()[0])
        if (self.dimension, span.shape[1]) != (3, 3):
            raise GeometryError(
                "faces() needs a solid in R^3; this zonotope has dimension "
                f"{span.shape[1]} in R^{self.dimension}, so draw its vertices() instead."
            )
        return face_corners(span)

    def volume(self) -> float:
        """Return the d-dimensional volume: 0 if the zonotope is flat.

        Raises
        ------
        GeometryError
            If it is beyond the largest float64, or a sum of so many determinants that it would
            take half an hour.
        """
        _, exponent = math.frexp(np.abs(self.generators).max(initial=0))
        value = sum_of_determinants(np.ldexp(self.generators, -exponent))
        try:
            return math.ldexp(value, exponent * self.dimension)
        except OverflowError:
            raise GeometryError(_BEYOND) from None

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Tell which points lie in the zonotope or within the contact tolerance of it.

        Parameters
        ----------
        points : array_like, shape (n, d)

        Returns
        -------
        bool array, shape (n,)
        """
        array = finite(points, "the points", (None, self.dimension))
        scale = scale_of(self.generators, self.shift)
        if scale != 1:
            with np.errstate(over="ignore"):
                array = np.clip(array / scale, -_LARGE, _LARGE)
            return self.divided(scale).contains(array)
        margin = TOLERANCE.contact * float(np.abs(self.generators).sum() + np.abs(self.shift).max())
        if self.dimension == 2 and _in_their_span(self._non_zero()[0]).shape[1] == 2:
            return in_polygon(array, self.vertices(), margin)
        nearest = nearest_points(array, self.generators, self.shift)
        inside: NDArray[np.bool_] = np.linalg.norm(array - nearest, axis=1) <= margin
        return inside

    def minkowski_sum(self, other: "Zonotope") -> "Zonotope":
        """Return {x + y : x in this zonotope, y in the other}."""
        if other.dimension != self.dimension:
            raise GeometryError(
                f"zonotopes in R^{self.dimension} and R^{other.dimension} have no Minkowski sum; "
                "bring them to one dimension with affine_image()."
            )
        return Zonotope(np.vstack([self.generators, other.generators]), self.shift + other.shift)

    def affine_image(self, matrix: ArrayLike, offset: ArrayLike) -> "Zonotope":
        """Return {M x + t : x in the zonotope}, for M of shape (k, d) and t of shape (k,)."""
        matrix = finite(matrix, "the matrix", (None, self.dimension))
        offset = finite(offset, "the offset", (len(matrix),))
        return Zonotope(self.generators @ matrix.T, matrix @ self.shift + offset)

    def divided(self, scale: float) -> "Zonotope":
        """Return the zonotope made smaller by a number."""
        return Zonotope(self.generators / scale, self.shift / scale)

    def _non_zero(self) -> tuple[Floats, float]:
        """Return the generators that are not zero next to the longest, divided by a scale."""
        if not len(self.generators):
            return self.generators, 1.0
        if self.dimension == 2:
            largest = np.abs(self.generators.view(np.complex128)[:, 0])
        else:
            sizes = np.abs(self.generators.T)
            largest = sizes[0]
            for column in sizes[1:]:  # many times faster than max(axis=1) on short rows
                np.maximum(largest, column, out=largest)
        longest = largest[largest.argmax()]  # a third of the time of max()
        if longest and not 1 / _LARGE < longest < _LARGE:
            scale = scale_of(self.generators)
            return Zonotope(self.generators / scale, np.zeros(self.dimension))._non_zero()[0], scale
        limit = TOLERANCE.zero * longest
        none = largest[largest.argmin()] > limit
        return self.generators if none else self.generators[largest > limit], 1.0

    def _merged(self) -> tuple[Floats, Floats, float]:
        """Return generators no two of which are parallel and what to add, divided by a scale."""
        vectors, scale = self._non_zero()
        if not len(vectors):
            return vectors, np.zeros(self.dimension), 1.0
        return *merge_parallel(vectors, vectors, TOLERANCE.parallel)[1:], scale


def scale_of(*arrays: Floats) -> float:
    """Return the power of two to divide by before squares overflow or vanish; 1 if they do not."""
    largest = max(float(np.abs(array).max(initial=0)) for array in arrays)
    if largest == 0 or 1 / _LARGE < largest < _LARGE:
        return 1.0
    return float(2.0 ** (np.frexp(largest)[1] - 1))


def _times(values: Floats, scale: float) -> Floats:
    """Return values times a scale, refused if that is beyond the numbers there are."""
    if scale == 1:
        return values
    with np.errstate(over="ignore"):
        return _within_range(values * scale)


def _within_range(values: Floats) -> Floats:
    """Refuse what has overflowed."""
    if not np.isfinite(values).all():
        raise GeometryError(_BEYOND)
    return values


def _moved(points: Floats, shift: Floats) -> Floats:
    """Add a shift to points in place, by columns, several times faster than by short rows."""
    if len(shift) == 2:
        points.view(np.complex128)[:, 0] += complex(*shift)
        return points
    for column, distance in zip(points.T, shift, strict=True):
        column += distance
    return points


def _in_their_span(vectors: Floats) -> Floats:
    """Return vectors (p, d) without the coordinates (p, d - r) that the others determine."""
    if not len(vectors):
        return np.zeros((0, 0))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, sizes, axes = np.linalg.svd(unit, full_matrices=False)
    flat = TOLERANCE.flat if unit.shape[1] < 4 else TOLERANCE.coplanar
    rank = int((sizes > flat * sizes[0]).sum())
    if rank == vectors.shape[1]:
        return vectors
    from scipy.linalg import qr  # half a second, which few zonotopes need

    # Leaving out coordinates keeps the numbers as they are, which turning them would not.
    return vectors[:, np.sort(qr(axes[:rank], mode="r", pivoting=True)[1][:rank])]
