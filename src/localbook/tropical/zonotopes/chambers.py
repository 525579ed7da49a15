"""Sums over the chambers of a central arrangement: what lies behind a zonotope's vertices.

The vertices of Σ [0, 1]·g_i are the sums Σ_{i: g_i·u > 0} g_i, one for each chamber of directions
u that the hyperplanes g_i·u = 0 cut out [1]_. The functions here enumerate the chambers from
*vectors* g_i and sum any *payload* over the positive ones, without listing 2^p subsets.

References
----------
.. [1] G. M. Ziegler, "Lectures on Polytopes", 1995, section 7.3 and corollary 7.17.
"""

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.zonotopes.pairs import sums_by_pairs
from localbook.tropical.zonotopes.planar import planar
from localbook.tropical.zonotopes.rays import at_rays
from localbook.tropical.zonotopes.space import sweep


def chambers(vectors: Floats, payload: Floats) -> Floats:
    """Return, for each chamber of the vectors' arrangement, the sum of the positive payloads.

    Parameters
    ----------
    vectors : float array, shape (p, r)
        Non-zero, no two parallel (r = 2 allows parallel ones), spanning R^r.
    payload : float array, shape (p, q)

    Returns
    -------
    float array, shape (n, q)
        In the plane in counter-clockwise order of the chambers; n = 2 Σ_{i<r} C(p-1, i) for
        vectors in general position.
    """
    rank = vectors.shape[1]
    if rank == 0:
        return np.zeros((1, payload.shape[1]))
    if rank == 1:
        up = vectors[:, 0] > 0
        return np.stack([payload[up].sum(axis=0), payload[~up].sum(axis=0)])
    if rank == 2:
        return planar(vectors, payload)[1]
    if rank == 3:
        return solid(vectors, payload)
    return at_rays(vectors, payload)


def solid(vectors: Floats, payload: Floats) -> Floats:
    """Return the chamber sums in space; see :func:`chambers`."""
    found = sums_by_pairs(vectors, payload)
    return sweep(vectors, payload) if found is None else found
