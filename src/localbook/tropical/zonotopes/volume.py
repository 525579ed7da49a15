"""The volume of a zonotope, a sum of determinants."""

from functools import lru_cache
from itertools import chain, combinations
from math import comb

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.points import orthogonal_basis

PRODUCTS = 2**22
"""Products of pairs' and of rests' determinants that are added up in one go."""

DETERMINANTS = 2**16
"""Determinants that are held in memory at a time."""

MOST_SORTED = 10**10
"""Numbers in all the sorts of a volume: more are refused, they would take half an hour."""

FEW = 256
"""Determinants up to which nothing is faster than one call for all."""

FEW_IN_PLANE = 11
"""Vectors in the plane up to which one call for all determinants is faster than a sort."""

_BLOCK = 2**17  # products held at once, few enough for the processor's cache


def sum_of_determinants(vectors: Floats) -> float:
    """Return Σ |det(g_i : i ∈ S)| over the d-subsets S of vectors, shape (p, d), d ≥ 1.

    This is the volume of Σ [0, 1]·g_i (Shephard 1974, equation 57). What is fastest is told by the
    numbers of determinants and products: all determinants at once; by pairs, see ``_by_pairs``; or,
    for many vectors, each in turn. A determinant is the length of one of its vectors times that of
    the projections of the others along it, so a vector leaves a sum in R^{d-1}, where in the plane
    a sort is enough.
    """
    count, rank = vectors.shape
    subsets, rests = comb(count, rank), comb(count, max(rank - 2, 0))
    if rests * count > MOST_SORTED:
        raise GeometryError(
            f"the volume of {count} generators in R^{rank} is a sum of {float(subsets):.0e} "
            "determinants: take fewer generators."
        )
    if rank == 1:
        return float(np.abs(vectors).sum())
    if rank == 2 and count > FEW_IN_PLANE:
        return _area(vectors)
    # The rests' own determinants come for nothing in R^3.
    minors = comb(rank, 2) * rests if rank > 3 else 0
    if subsets > FEW and minors < subsets and comb(count, 2) * rests <= PRODUCTS:
        return _by_pairs(vectors)
    if subsets <= DETERMINANTS:
        return float(np.abs(np.linalg.det(vectors[_subsets(count, rank)])).sum())
    total = 0.0
    for i, length in enumerate(np.linalg.norm(vectors, axis=1)):
        if length > 0:
            # Each subset is summed once only: with its first vector.
            rest = vectors[i + 1 :] @ orthogonal_basis(vectors[i] / length)
            total += length * sum_of_determinants(rest)
    return float(total)


def _area(vectors: Floats) -> float:
    """Return Σ_{i<j} |g_i x g_j| in the plane."""
    x, y = vectors.T
    upper = np.where((y < 0) | ((y == 0) & (x < 0)), -vectors.T, vectors.T)
    x, y = upper[:, np.argsort(np.arctan2(upper[1], upper[0]))]
    return float(((np.cumsum(x) - x) * y - (np.cumsum(y) - y) * x).sum())


def _by_pairs(vectors: Floats) -> float:
    """Return the sum by Laplace's expansion along two vectors, whose others are all the others.

    A determinant is a sum over two of the coordinates: that of two vectors in them times that of
    the others in the rest. As a product of matrices this has each subset once for any two of its
    vectors, and zeros where a vector is on both sides.
    """
    count, rank = vectors.shape
    first, second = _subsets(rank, 2).T
    rest = _subsets(rank, rank - 2)[::-1]  # what each pair leaves
    i, j = _subsets(count, 2).T
    x, y = vectors.T[first], vectors.T[second]
    pairs = x[:, i] * y[:, j] - y[:, i] * x[:, j]  # (pairs of coordinates, pairs of vectors)
    pairs *= (-1.0) ** (first + second)[:, None]
    if rank == 3:
        others = vectors.T[rest[:, 0]]
    else:
        minors = vectors[_subsets(count, rank - 2)][
            :, :, rest
        ]  # (others, rank - 2, pairs, rank - 2)
        others = np.linalg.det(minors.transpose(2, 0, 1, 3))
    step = max(1, _BLOCK // len(others[0]))
    total = 0.0
    for k in range(0, len(i), step):
        products = pairs[:, k : k + step].T @ others
        total += float(np.abs(products, out=products).sum())
    return total / comb(rank, 2)


def _subsets(count: int, size: int) -> Indices:
    """Return all subsets of ``count`` numbers in lexicographic order, (subsets, size)."""
    return _remembered(count, size) if comb(count, size) <= FEW else _listed(count, size)


def _listed(count: int, size: int) -> Indices:
    flat = chain.from_iterable(combinations(range(count), size))
    return np.fromiter(flat, np.intp, comb(count, size) * size).reshape(-1, size)


_remembered = lru_cache(maxsize=32)(_listed)
