"""The linear pieces of a tropical rational function, in any number of variables."""

from dataclasses import dataclass

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.polynomials.algebra import TropicalPolynomial, TropicalRational
from localbook.tropical.polynomials.subdivision import essential

MOST_WORK = 1e10
"""Of n^((d + 3) // 2) for the convex hull of the lifts of n products in d variables: minutes."""


@dataclass(frozen=True, eq=False)
class RationalPieces:
    """Where one monomial of the numerator and one of the denominator win.

    Attributes
    ----------
    pairs : int array, shape (k, 2)
        The monomials: i of the numerator, j of the denominator.
    slopes : float array, shape (k, d)
    intercepts : float array, shape (k,)
        On piece k the function is x -> slopes[k]·x + intercepts[k].
    """

    pairs: Indices
    slopes: Floats
    intercepts: Floats

    def __len__(self) -> int:
        return len(self.pairs)


def rational_pieces(function: TropicalRational) -> RationalPieces:
    """Return the full-dimensional regions on which a tropical rational function is affine.

    They are dual to the corners of the subdivision of numerator ⊙ denominator. Pieces with the
    same slope and intercept may be neighbours: their hypersurface is then not a bend.

    Raises
    ------
    GeometryError
        If there are too many products of monomials: more than 100,000 in one or two variables,
        2,000 in three or four, 300 in five or six.

    Examples
    --------
    >>> from localbook import tropical
    >>> x, y = tropical.variables(2)
    >>> tropical.rational_pieces((x + 0) / (y + 0)).slopes.tolist()
    [[0.0, 0.0], [0.0, -1.0], [1.0, 0.0], [1.0, -1.0]]
    """
    above, below = function.numerator, function.denominator
    product = essential(checked_product(above, below))
    sums = np.column_stack(
        [
            (above.exponents[:, None] + below.exponents).reshape(-1, above.dimension),
            np.add.outer(above.coefficients, below.coefficients).ravel(),
        ]
    )
    from scipy.spatial import KDTree

    # A corner of the lifted hull of sums is the sum of one corner each.
    corners = np.column_stack([product.exponents, product.coefficients])
    pairs = np.stack(np.divmod(KDTree(sums).query(corners)[1], len(below)), axis=1)
    i, j = pairs.T
    return RationalPieces(
        pairs,
        above.exponents[i] - below.exponents[j],
        above.coefficients[i] - below.coefficients[j],
    )


def checked_product(one: TropicalPolynomial, other: TropicalPolynomial) -> TropicalPolynomial:
    """Return p ⊙ q, refused before it takes minutes to prune."""
    count = len(one) * len(other)
    if float(count) ** ((one.dimension + 3) // 2) > MOST_WORK:
        raise GeometryError(
            f"a product of {len(one)} and {len(other)} monomials in {one.dimension} variables has "
            "too many to prune: take fewer neurons, or a plane as in "
            "plane_through(a, b, c).restrict(network)."
        )
    return one * other
