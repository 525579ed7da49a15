"""Other descriptions of a zonotope: its half-spaces, and fewer generators around it."""

from itertools import combinations
from math import comb

import numpy as np

from localbook.arrays import Floats
from localbook.errors import GeometryError
from localbook.tropical.points import same_points
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.zonotope import Zonotope

MOST_SUBSETS = 1_000_000
"""More sets of generators are refused: they would take minutes and all memory."""


def halfspaces(zonotope: Zonotope) -> tuple[Floats, Floats]:
    """Return the half-spaces whose intersection a zonotope is, its H-representation.

    A facet's normal is at right angles to r - 1 independent generators, r the zonotope's dimension,
    and its offset is the support there [1]_. A flat zonotope has two opposite half-spaces for each
    direction in which it is flat.

    Parameters
    ----------
    zonotope : Zonotope

    Returns
    -------
    normals : float array, shape (m, d)
        Unit and outward.
    offsets : float array, shape (m,)
        x is in the zonotope if and only if ``normals @ x <= offsets``.

    Raises
    ------
    GeometryError
        If there are more than a million sets of r - 1 generators.

    References
    ----------
    .. [1] M. Althoff, O. Stursberg, M. Buss, "Computing reachable sets of hybrid systems using a
       combination of zonotopes and polytopes", 2010.

    Examples
    --------
    >>> from localbook import tropical
    >>> normals, offsets = tropical.halfspaces(tropical.Zonotope([[1, 0], [1, 1]], [0, 0]))
    >>> len(normals), bool((normals @ [1.0, 0.5] <= offsets).all())
    (4, True)
    """
    vectors = zonotope.merged().generators
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, sizes, axes = np.linalg.svd(unit)
    rank = int((sizes > TOLERANCE.flat * sizes.max(initial=0)).sum())
    flat, span = axes[rank:], axes[:rank]
    count = comb(len(unit), max(rank, 1) - 1)
    if count > MOST_SUBSETS:
        raise GeometryError(
            f"{len(unit)} generators in R^{rank} have {count:,} sets that may span a facet: take "
            "fewer, as reduce_order() does."
        )
    normals = np.zeros((0, zonotope.dimension))
    if rank:
        subsets = np.array(list(combinations(range(len(unit)), rank - 1)), dtype=np.intp)
        _, sizes, rows = np.linalg.svd((unit @ span.T)[subsets])
        normals = rows[:, -1][(sizes > TOLERANCE.flat).all(axis=1)]
        normals = normals[np.unique(same_points(normals, TOLERANCE.contact, up_to_sign=True))]
        normals = normals @ span
    half = np.vstack([normals, flat])
    normals = np.vstack([half, -half])
    return normals, zonotope.support(normals)


def reduce_order(zonotope: Zonotope, order: float) -> Zonotope:
    """Return a zonotope around another with at most ``order`` times d generators.

    The longest are kept, by the sum of their entries' sizes less the largest; the others are
    replaced by the box around their sum [1]_, so the centre stays and no coordinate's range grows.

    Parameters
    ----------
    zonotope : Zonotope
    order : float
        From 1, a box, up.

    Raises
    ------
    GeometryError
        If the order is less than 1.

    References
    ----------
    .. [1] A. Girard, "Reachability of uncertain linear systems using zonotopes", 2005.

    Examples
    --------
    >>> from localbook import tropical
    >>> hexagon = tropical.Zonotope([[1, 0], [0, 1], [1, 1]], [0, 0])
    >>> tropical.reduce_order(hexagon, 1).vertices().tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
    """
    if not order >= 1:
        raise GeometryError(f"a zonotope of order {order} has no box for the rest; give 1 or more.")
    vectors = zonotope.merged().generators
    count = zonotope.dimension
    if len(vectors) <= order * count:
        return zonotope.merged()
    sizes = np.abs(vectors)
    by_length = np.argsort(sizes.max(axis=1) - sizes.sum(axis=1), kind="stable")
    kept, rest = np.split(by_length, [int((order - 1) * count)])
    sides = sizes[rest].sum(axis=0)
    generators = np.vstack([vectors[kept], np.diag(sides)])
    return Zonotope(generators, zonotope.centre - generators.sum(axis=0) / 2)
