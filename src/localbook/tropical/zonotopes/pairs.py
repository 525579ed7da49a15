"""The chambers of few planes through the origin of R^3 in general position, by all pairs.

As in the sweep, the other planes are lines in the affine plane g_0·u = 1, and every cell with a
lowest point has it where two lines cross. Looking at every crossing of two lines takes O(p³), but
so few calls that it is faster than sorting for some dozens of generators.
"""

from functools import cache

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.space import cross

FEW = 40  # beyond, sorting along each line is faster
# Any vector will do that no figure was made to be in line with.
_SOMEWHERE = np.array([0.5402, -0.3117, 0.7817])


def sums_by_pairs(vectors: Floats, payload: Floats) -> Floats | None:
    """Return, for each chamber of planes in R^3, the sum of the payloads of the positive vectors.

    Parameters
    ----------
    vectors : float array, shape (p, 3)
        Non-zero.
    payload : float array, shape (p, q)

    Returns
    -------
    float array, shape (p(p - 1) + 2, q), or None
        Row k + n/2 is opposite to row k. None if there are more than ``FEW`` vectors, or unless it
        is beyond doubt that no three of them lie in one plane.
    """
    if not 3 <= len(vectors) <= FEW:
        return None
    unit = vectors / np.sqrt(np.einsum("pd,pd->p", vectors, vectors))[:, None]
    first, others = unit[0], unit[1:]
    count = len(others)
    # Turned to one side, so that each points its line g_0 x g_i upwards.
    sign = np.copysign(1.0, others @ cross(_SOMEWHERE, first))[:, None]
    others = sign * others
    one, two = _pairs(count)
    normals = cross(others.take(one, axis=0), others.take(two, axis=0))
    ahead = normals @ first
    heights = normals @ others.T
    crossing = np.arange(len(one))
    heights[crossing, one] = heights[crossing, two] = np.inf
    if not min(np.abs(ahead).min(), np.abs(heights).min()) > TOLERANCE.doubtful:
        return None
    # Which vectors are positive: where two lines cross, in the cell between their upward rays; at
    # the bottom of each line, on its left; and to the right of all.
    upward = others @ cross(first, others).T
    positive = np.ones((len(one) + count + 1, count))
    np.greater(heights * ahead[:, None], 0, out=positive[: len(one)])
    positive[crossing, one] = upward[one, two] > 0
    positive[crossing, two] = upward[two, one] > 0
    np.less(upward.T, 0, out=positive[len(one) : -1])
    positive[len(one) + np.arange(count), np.arange(count)] = 0
    oriented = sign * payload[1:]
    half = positive @ oriented
    half += payload[0] + np.minimum(sign, 0).T @ oriented
    return np.concatenate([half, payload.sum(axis=0) - half])


@cache
def _pairs(count: int) -> tuple[Indices, Indices]:
    one, two = np.triu_indices(count, 1)
    return one, two
