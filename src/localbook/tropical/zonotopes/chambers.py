"""Sums over the chambers of a central arrangement: what lies behind a zonotope's vertices.

The vertices of Σ [0, 1]·g_i are the sums Σ_{i: g_i·u > 0} g_i, one for each chamber of directions
u that the hyperplanes g_i·u = 0 cut out [1]_. The functions here enumerate the chambers from
*vectors* g_i and sum any *payload* over the positive ones, without listing 2^p subsets.

References
----------
.. [1] G. M. Ziegler, "Lectures on Polytopes", 1995, section 7.3 and corollary 7.17.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats, Indices
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.directions import interior_directions
from localbook.tropical.zonotopes.pairs import sums_by_pairs
from localbook.tropical.zonotopes.space import sweep

_FEW = 1000  # below this a comparison sort is faster


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
    return _sums(interior_directions(vectors), vectors, payload)


def solid(vectors: Floats, payload: Floats) -> Floats:
    """Return the chamber sums in space; see :func:`chambers`."""
    found = sums_by_pairs(vectors, payload)
    return sweep(vectors, payload) if found is None else found


def planar(vectors: Floats, payload: Floats) -> tuple[Floats, Floats]:
    """Return the walls and the chamber sums in the plane, by sorting angles.

    Turned into the upper half-plane and sorted by angle, the vectors are the zonotope's edges from
    its lowest vertex to its highest; the other side is the same by symmetry.

    Parameters
    ----------
    vectors : float array, shape (p, 2)
        Non-zero; parallel ones share a wall.
    payload : float array, shape (p, q)

    Returns
    -------
    angles : float array, shape (m,)
        Directions of the m different walls' vectors, increasing, within π.
    sums : float array, shape (2m, q)
        Counter-clockwise. Chamber k < m has outward normals from ``angles[k-1] - π/2`` to
        ``angles[k] - π/2`` (``angles[-1] - 3π/2`` for k = 0); chamber k + m has the opposite ones.
    """
    angles = np.arctan2(vectors[:, 1], vectors[:, 0])
    turned = angles < 0
    angles += np.pi * turned
    # The cut is taken just below 0, so that (1, 0) and (-1, 1e-17) are not put at opposite ends.
    if angles[angles.argmax()] >= np.pi - TOLERANCE.parallel:  # a third of the time of max()
        late = angles >= np.pi - TOLERANCE.parallel
        angles[late] -= np.pi
        turned ^= late
    order = _by_angle(angles)
    angles = angles.take(order)
    gaps = angles[1:] - angles[:-1]
    last = None
    if len(gaps) and gaps[gaps.argmin()] <= TOLERANCE.parallel:
        last = np.append(gaps > TOLERANCE.parallel, True)
        angles = angles[last]
    walls = len(angles)
    sums = np.empty((2 * walls, payload.shape[1]))
    for column, out in zip(_columns(payload), _columns(sums), strict=True):
        chain = column.copy()
        np.negative(column, out=chain, where=turned)
        chain = chain.take(order)
        np.add.accumulate(chain, out=chain)
        total = np.add.reduce(column)
        out[0] = lowest = (total - chain[-1]) / 2
        np.add(chain if last is None else chain[last], lowest, out=out[1 : walls + 1])
        np.subtract(total, out[1:walls], out=out[walls + 1 :])
    return angles, sums


def _columns(rows: Floats) -> NDArray[np.inexact[Any]]:
    """Return a view by columns, or by pairs of columns as complex numbers.

    numpy's loops over a short last axis are several times slower, and for few rows it is the number
    of calls that counts.
    """
    pairs = rows.shape[1] % 2 == 0 and rows.flags.c_contiguous
    return rows.view(np.complex128).T if pairs else rows.T


def _by_angle(angles: Floats) -> Indices:
    """Sort angles from -tolerance to π - tolerance, to within 1.2e-14, in linear time.

    Three rounds of numpy's radix sort for 16-bit integers, from the low digits to the high; angles
    left out of order are so near that they count as parallel.
    """
    if len(angles) < _FEW:
        return angles.argsort()
    digits = (angles + TOLERANCE.parallel) * (((1 << 48) - 1) / np.pi)
    whole = digits.astype(np.int64)
    order = np.argsort(whole.astype(np.uint16), kind="stable")
    for shift in (16, 32):
        higher = (whole >> shift).astype(np.uint16)
        order = order[np.argsort(higher[order], kind="stable")]
    return order


def _sums(directions: Floats, vectors: Floats, payload: Floats) -> Floats:
    """Sum the payloads that are positive in each direction, a block of directions at a time."""
    block = max(1, (1 << 20) // len(vectors))
    return np.concatenate(
        [
            (directions[k : k + block] @ vectors.T > 0) @ payload
            for k in range(0, len(directions), block)
        ]
    )
