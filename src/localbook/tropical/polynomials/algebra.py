"""Tropical polynomials and rational functions, max-plus unless said otherwise.

a ⊕ b = max(a, b) and a ⊙ b = a + b, so that the polynomial ⊕_i c_i ⊙ x^{e_i} is the convex
piecewise linear function max_i (c_i + e_i·x) [1]_.

References
----------
.. [1] L. Zhang, G. Naitzat, L.-H. Lim, "Tropical Geometry of Deep Neural Networks", 2018.
"""

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats
from localbook.errors import GeometryError
from localbook.tropical.hull import extreme_points
from localbook.tropical.points import same_points
from localbook.tropical.polynomials.text import written
from localbook.tropical.tolerance import TOLERANCE, finite

Convention = Literal["max", "min"]

_BLOCK = 1 << 20  # products held at once


@dataclass(frozen=True, eq=False, repr=False)
class TropicalPolynomial:
    """The function x ↦ max_i (c_i + e_i·x); in the min convention x ↦ min_i (c_i + e_i·x).

    Exponents are real, as those of a network are. Of monomials with the same exponent, up to the
    contact tolerance, the winning one is kept; monomials are sorted by exponent, downwards in the
    min convention. Those that never win are kept until ``essential()`` removes them.

    The operators are tropical, and a number stands for a constant: with ``x, y = variables(2)`` the
    expression ``2 * x + y + 0`` is max(2 + x, y, 0). Python's ``sum`` and ``math.prod`` start from
    the numbers 0 and 1, which are not neutral here: use ``functools.reduce``. ``==`` compares
    monomials, exactly; polynomials without superfluous monomials are equal where the functions are.

    Attributes
    ----------
    exponents : float array, shape (m, d)
        The e_i, m ≥ 1 and d ≥ 1.
    coefficients : float array, shape (m,)
        The c_i.
    convention : "max" or "min"
        Which of its monomials wins, and what the tropical sum is. All that takes polynomials takes
        both, and results are in the polynomial's own convention.

    Raises
    ------
    GeometryError
        If an array has another shape or entries that are not finite, there is no monomial, or the
        convention is another.

    Examples
    --------
    >>> from localbook import tropical
    >>> line = tropical.TropicalPolynomial([[0, 0], [1, 0], [0, 1]], [0, 0, 0], "min")
    >>> print(line, "is", line([3, -2]), "at (3, -2)")
    min(x1, x2, 0) is -2.0 at (3, -2)
    """

    exponents: Floats
    coefficients: Floats
    convention: Convention = "max"

    __array_ufunc__: ClassVar[None] = None  # numpy's numbers leave the operators to us

    def __post_init__(self) -> None:
        coefficients = finite(self.coefficients, "the coefficients", (None,))
        if not len(coefficients):
            raise GeometryError("a tropical polynomial needs at least one monomial; add one.")
        exponents = finite(self.exponents, "the exponents", (len(coefficients), None))
        if not exponents.shape[1]:
            raise GeometryError("a tropical polynomial needs at least one variable; add one.")
        size = TOLERANCE.contact * float(np.abs(exponents).max())
        if self.convention not in ("max", "min"):
            raise GeometryError(f"there is no convention {self.convention!r}: choose max or min.")
        same = same_points(exponents, size)
        winning = np.full(len(same), -self._sign * np.inf)
        (np.maximum if self._sign > 0 else np.minimum).at(winning, same, coefficients)
        kept = np.unique(same)
        kept = kept[np.lexsort(self._sign * exponents[kept].T[::-1])]
        for name, value in (("exponents", exponents[kept]), ("coefficients", winning[kept])):
            value += 0.0  # no -0.0, which == and hash() would tell apart
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def dimension(self) -> int:
        """The number d of variables."""
        return int(self.exponents.shape[1])

    @property
    def as_max(self) -> "TropicalPolynomial":
        """The negative -min_i (c_i + e_i·x) = max_i (-c_i - e_i·x); a max polynomial is itself.

        It has the same hypersurface, and its monomials are in the same order.
        """
        if self.convention == "max":
            return self
        return TropicalPolynomial(-self.exponents, -self.coefficients)

    @property
    def _sign(self) -> int:
        return 1 if self.convention == "max" else -1

    def __call__(self, x: ArrayLike) -> Floats:
        """Evaluate at points, shape (..., d); the result has shape (...)."""
        if self.convention == "min":
            return -self.as_max(x)
        shape = np.shape(x)
        points = np.reshape(x, (-1, shape[-1] if shape else 1))
        flat = finite(points, "the points", (None, self.dimension))
        block = max(1, _BLOCK // len(self.coefficients))
        values = [
            (flat[k : k + block] @ self.exponents.T + self.coefficients).max(axis=1)
            for k in range(0, len(flat), block)
        ]
        return np.concatenate([np.zeros(0), *values]).reshape(shape[:-1])

    def __len__(self) -> int:
        """Return the number of monomials."""
        return len(self.coefficients)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TropicalPolynomial):
            return NotImplemented
        return (
            self.convention == other.convention
            and np.array_equal(self.exponents, other.exponents)
            and np.array_equal(self.coefficients, other.coefficients)
        )

    def __hash__(self) -> int:
        return hash((*self.coefficients.tolist(), *self.exponents.ravel().tolist()))

    def __str__(self) -> str:
        return written(self.exponents, self.coefficients, self.convention)

    def __repr__(self) -> str:
        return f"<TropicalPolynomial {self}>"

    def __add__(self, other: "TropicalPolynomial | float") -> "TropicalPolynomial":
        """Return the tropical sum p ⊕ q, the function max(p, q) or min(p, q)."""
        q = _polynomial(other, self)
        if q is None:
            return NotImplemented
        return TropicalPolynomial(
            np.vstack([self.exponents, q.exponents]),
            np.concatenate([self.coefficients, q.coefficients]),
            self.convention,
        )

    def __mul__(self, other: "TropicalPolynomial | float") -> "TropicalPolynomial":
        """Return the tropical product p ⊙ q, the function p + q."""
        q = _polynomial(other, self)
        if q is None:
            return NotImplemented
        exponents = self.exponents[:, None] + q.exponents  # (m, n, d)
        return TropicalPolynomial(
            exponents.reshape(-1, self.dimension),
            np.add.outer(self.coefficients, q.coefficients).ravel(),
            self.convention,
        )

    __radd__ = __add__
    __rmul__ = __mul__

    def __pow__(self, power: float) -> "TropicalPolynomial":
        """Return the tropical power, the function power · p, for a real power ≥ 0.

        Powers distribute over ⊕ as functions, (p ⊕ q)^k = p^k ⊕ q^k, so that only the powers of the
        monomials are needed.
        """
        if not (np.isfinite(power) and power >= 0):
            raise GeometryError(
                f"a tropical power must be a finite number from 0 up, not {power}; divide for a "
                "negative one."
            )
        return TropicalPolynomial(
            power * self.exponents, power * self.coefficients, self.convention
        )

    def __truediv__(self, other: "TropicalPolynomial | float") -> "TropicalRational":
        """Return the tropical quotient, the function p - q."""
        q = _polynomial(other, self)
        return NotImplemented if q is None else TropicalRational(self, q)

    def __rtruediv__(self, other: float) -> "TropicalRational":
        p = _polynomial(other, self)
        return NotImplemented if p is None else TropicalRational(p, self)

    def newton_polytope(self) -> Floats:
        """Return the vertices of the convex hull of the exponents, shape (v, d).

        Counter-clockwise in the plane.
        """
        return self.exponents[extreme_points(self.exponents)]


@dataclass(frozen=True, eq=False, repr=False)
class TropicalRational:
    """A quotient of tropical polynomials, the function numerator - denominator.

    The operators are tropical; polynomials and numbers may stand on either side. There is no
    ``==``: one function has many quotients, and f = g as functions is what
    ``essential(f.numerator * g.denominator) == essential(g.numerator * f.denominator)`` asks.

    Attributes
    ----------
    numerator, denominator : TropicalPolynomial
        In the same variables.
    """

    numerator: TropicalPolynomial
    denominator: TropicalPolynomial

    __array_ufunc__: ClassVar[None] = None

    def __post_init__(self) -> None:
        _check_alike(self.numerator, self.denominator)

    @property
    def dimension(self) -> int:
        """The number d of variables."""
        return self.numerator.dimension

    def __call__(self, x: ArrayLike) -> Floats:
        """Evaluate at points, shape (..., d); the result has shape (...)."""
        return self.numerator(x) - self.denominator(x)

    def __str__(self) -> str:
        below = str(self.denominator)
        return f"{self.numerator} - {below if below.startswith('m') else f'({below})'}"

    def __repr__(self) -> str:
        return f"<TropicalRational {self}>"

    def __add__(self, other: "TropicalRational | TropicalPolynomial | float") -> "TropicalRational":
        """Return the tropical sum, the function max(f, g) or min(f, g)."""
        g = _rational(other, self.numerator)
        if g is None:
            return NotImplemented
        return TropicalRational(
            self.numerator * g.denominator + g.numerator * self.denominator,
            self.denominator * g.denominator,
        )

    def __mul__(self, other: "TropicalRational | TropicalPolynomial | float") -> "TropicalRational":
        """Return the tropical product, the function f + g."""
        g = _rational(other, self.numerator)
        if g is None:
            return NotImplemented
        return TropicalRational(self.numerator * g.numerator, self.denominator * g.denominator)

    __radd__ = __add__
    __rmul__ = __mul__

    def __truediv__(
        self, other: "TropicalRational | TropicalPolynomial | float"
    ) -> "TropicalRational":
        """Return the tropical quotient, the function f - g."""
        g = _rational(other, self.numerator)
        if g is None:
            return NotImplemented
        return TropicalRational(self.numerator * g.denominator, self.denominator * g.numerator)

    def __rtruediv__(self, other: TropicalPolynomial | float) -> "TropicalRational":
        g = _rational(other, self.numerator)
        return NotImplemented if g is None else g / self

    def __pow__(self, power: float) -> "TropicalRational":
        """Return the tropical power, the function power · f, for any real power."""
        if power < 0:
            return TropicalRational(self.denominator**-power, self.numerator**-power)
        return TropicalRational(self.numerator**power, self.denominator**power)


def variables(count: int, convention: Convention = "max") -> tuple[TropicalPolynomial, ...]:
    """Return the coordinates x1, x2, ... as tropical polynomials in ``count`` variables.

    With ``convention="min"`` all that is made of them is in the min convention.

    Raises
    ------
    GeometryError
        If ``count`` is not a whole number from 1 up.

    Examples
    --------
    >>> from localbook import tropical
    >>> x, y = tropical.variables(2)
    >>> print(x + y * y + 1)
    max(1, 2 x2, x1)
    >>> x, y = tropical.variables(2, convention="min")
    >>> (x + y * y + 1)([0.5, 0.2]).item()
    0.4
    """
    if not isinstance(count, int) or count < 1:
        raise GeometryError(f"there are no {count!r} variables; ask for 1 or more.")
    return tuple(TropicalPolynomial(row[None], np.zeros(1), convention) for row in np.eye(count))


def _polynomial(value: object, like: TropicalPolynomial) -> TropicalPolynomial | None:
    """Return an operand as a polynomial like another, None if it cannot be one."""
    if isinstance(value, Real):
        one = np.zeros((1, like.dimension))
        return TropicalPolynomial(one, np.array([float(value)]), like.convention)
    if not isinstance(value, TropicalPolynomial):
        return None
    _check_alike(like, value)
    return value


def _rational(value: object, like: TropicalPolynomial) -> TropicalRational | None:
    """Return an operand as a quotient of polynomials like another, None if it cannot be one."""
    if isinstance(value, TropicalRational):
        _check_alike(like, value.numerator)
        return value
    p = _polynomial(value, like)
    return p if p is None else p / 0  # the constant 0 is the tropical one


def _check_alike(one: TropicalPolynomial, other: TropicalPolynomial) -> None:
    if one.dimension != other.dimension:
        raise GeometryError(
            f"tropical polynomials in {one.dimension} and {other.dimension} variables do not "
            "combine; give both the same number of columns of exponents."
        )
    if one.convention != other.convention:
        raise GeometryError(
            "a max polynomial and a min polynomial do not combine; -min(a, b) = max(-a, -b) is "
            "the as_max of a min polynomial."
        )
