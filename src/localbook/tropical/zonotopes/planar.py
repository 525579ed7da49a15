"""The chambers of lines through the origin of the plane, by sorting angles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats, Indices
from localbook.tropical.tolerance import TOLERANCE

_FEW = 1000  # below this a comparison sort is faster


def planar(vectors: Floats, payload: Floats) -> tuple[Floats, Floats]:
    """Return the angles (m,) of the walls' vectors, and the chambers' sums (2m, q), in the plane.

    Turned into the upper half-plane and sorted by angle, the vectors are the zonotope's edges from
    its lowest vertex to its highest; the other side is the same by symmetry. The angles increase
    within π. Chamber k < m has outward normals from ``angles[k-1] - π/2`` to ``angles[k] - π/2``
    (``angles[-1] - 3π/2`` for k = 0); chamber k + m has the opposite ones.
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
