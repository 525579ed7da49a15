"""Tropical polynomials and rational functions in the max-plus convention.

a ⊕ b = max(a, b) and a ⊙ b = a + b, so that the polynomial ⊕_i c_i ⊙ x^{e_i} is the convex
piecewise linear function max_i (c_i + e_i·x) [1]_.

References
----------
.. [1] L. Zhang, G. Naitzat, L.-H. Lim, "Tropical Geometry of Deep Neural Networks", 2018.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localbook.errors import GeometryError
from localbook.tropical.hull import extreme_points
from localbook.tropical.tolerance import TOLERANCE, Floats, finite
from localbook.tropical.zonotope_merge import same_points

_BLOCK = 1 << 20  # products held at once


@dataclass(frozen=True, eq=False)
class TropicalPolynomial:
    """The function x ↦ max_i (c_i + e_i·x).

    Exponents are real, as those of a network are. Of monomials with the same exponent, up to the
    contact tolerance, the largest is kept; monomials are sorted by exponent. Those that never
    attain the maximum are kept until ``essential()`` removes them.

    Attributes
    ----------
    exponents : float array, shape (m, d)
        The e_i, m ≥ 1 and d ≥ 1.
    coefficients : float array, shape (m,)
        The c_i.

    Raises
    ------
    GeometryError
        If an array has another shape or entries that are not finite, or there is no monomial.
    """

    exponents: Floats
    coefficients: Floats

    def __post_init__(self) -> None:
        coefficients = finite(self.coefficients, "the coefficients", (None,))
        if not len(coefficients):
            raise GeometryError("a tropical polynomial needs at least one monomial; add one.")
        exponents = finite(self.exponents, "the exponents", (len(coefficients), None))
        if not exponents.shape[1]:
            raise GeometryError("a tropical polynomial needs at least one variable; add one.")
        size = TOLERANCE.contact * float(np.abs(exponents).max())
        same = same_points(exponents, size)
        highest = np.full(len(same), -np.inf)
        np.maximum.at(highest, same, coefficients)
        kept = np.unique(same)
        kept = kept[np.lexsort(exponents[kept].T[::-1])]
        for name, value in (("exponents", exponents[kept]), ("coefficients", highest[kept])):
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @property
    def dimension(self) -> int:
        """The number d of variables."""
        return int(self.exponents.shape[1])

    def __call__(self, x: ArrayLike) -> Floats:
        """Evaluate at points, shape (..., d); the result has shape (...)."""
        shape = np.shape(x)
        points = np.reshape(x, (-1, shape[-1] if shape else 1))
        flat = finite(points, "the points", (None, self.dimension))
        block = max(1, _BLOCK // len(self.coefficients))
        values = [
            (flat[k : k + block] @ self.exponents.T + self.coefficients).max(axis=1)
            for k in range(0, len(flat), block)
        ]
        return np.concatenate([np.zeros(0), *values]).reshape(shape[:-1])

    def __add__(self, other: "TropicalPolynomial") -> "TropicalPolynomial":
        """Return the tropical sum p ⊕ q, the function max(p, q)."""
        self._check_variables(other)
        return TropicalPolynomial(
            np.vstack([self.exponents, other.exponents]),
            np.concatenate([self.coefficients, other.coefficients]),
        )

    def __mul__(self, other: "TropicalPolynomial") -> "TropicalPolynomial":
        """Return the tropical product p ⊙ q, the function p + q."""
        self._check_variables(other)
        exponents = self.exponents[:, None] + other.exponents  # (m, n, d)
        return TropicalPolynomial(
            exponents.reshape(-1, self.dimension),
            np.add.outer(self.coefficients, other.coefficients).ravel(),
        )

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
        return TropicalPolynomial(power * self.exponents, power * self.coefficients)

    def __truediv__(self, other: "TropicalPolynomial") -> "TropicalRational":
        """Return the tropical quotient, the function p - q."""
        return TropicalRational(self, other)

    def newton_polytope(self) -> Floats:
        """Return the vertices of the convex hull of the exponents, shape (v, d).

        Counter-clockwise in the plane.
        """
        return self.exponents[extreme_points(self.exponents)]

    def _check_variables(self, other: "TropicalPolynomial") -> None:
        if other.dimension != self.dimension:
            raise GeometryError(
                f"tropical polynomials in {self.dimension} and {other.dimension} variables do not "
                "combine; give both the same number of columns of exponents."
            )


@dataclass(frozen=True, eq=False)
class TropicalRational:
    """A quotient of tropical polynomials, the function numerator - denominator.

    Attributes
    ----------
    numerator, denominator : TropicalPolynomial
        In the same variables.
    """

    numerator: TropicalPolynomial
    denominator: TropicalPolynomial

    def __post_init__(self) -> None:
        self.numerator._check_variables(self.denominator)

    def __call__(self, x: ArrayLike) -> Floats:
        """Evaluate at points, shape (..., d); the result has shape (...)."""
        return self.numerator(x) - self.denominator(x)

    def __add__(self, other: "TropicalRational") -> "TropicalRational":
        """Return the tropical sum, the function max(f, g)."""
        return TropicalRational(
            self.numerator * other.denominator + other.numerator * self.denominator,
            self.denominator * other.denominator,
        )

    def __mul__(self, other: "TropicalRational") -> "TropicalRational":
        """Return the tropical product, the function f + g."""
        return TropicalRational(
            self.numerator * other.numerator, self.denominator * other.denominator
        )

    def __truediv__(self, other: "TropicalRational") -> "TropicalRational":
        """Return the tropical quotient, the function f - g."""
        return TropicalRational(
            self.numerator * other.denominator, self.denominator * other.numerator
        )
