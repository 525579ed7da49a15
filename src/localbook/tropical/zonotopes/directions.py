"""A direction inside every chamber of a central arrangement, in any dimension.

A hyperplane added to an arrangement cuts exactly the chambers that its restriction to that
hyperplane has, so #chambers(p, r) = #chambers(p - 1, r) + #chambers(p - 1, r - 1) in general
position [1]_. Enumerating by this recursion takes work in proportion to what is found.

References
----------
.. [1] T. Zaslavsky, "Facing up to arrangements", 1975 (deletion and restriction).
"""

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.tropical.points import orthogonal_basis, same_points
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.marks import keys, random_marks


def interior_directions(vectors: Floats) -> Floats:
    """Return one unit direction u inside each chamber of the hyperplanes g_i·u = 0.

    Parameters
    ----------
    vectors : float array, shape (p, r)
        Non-zero and spanning R^r, r ≥ 1.

    Returns
    -------
    float array, shape (n, r)
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = unit[np.unique(same_points(unit, TOLERANCE.flat, up_to_sign=True))]
    rank = unit.shape[1]
    if rank == 1:
        return np.array([[1.0], [-1.0]])
    if rank == 2:
        return _planar_directions(unit)
    unit = unit[_independent_first(unit)]
    signs = 1.0 - 2.0 * (np.arange(1 << rank)[:, None] >> np.arange(rank) & 1)
    found = np.linalg.solve(unit[:rank], signs.T).T
    marks = random_marks(len(unit))
    for count in range(rank, len(unit)):
        before, wall = unit[:count], unit[count]
        basis = orthogonal_basis(wall)
        inside = interior_directions(before @ basis) @ basis.T
        heights = inside @ before.T
        cut = np.isin(
            keys((found @ before.T > 0) @ marks[:count]), keys((heights > 0) @ marks[:count])
        )
        # Half of the way along the wall's vector to the nearest other hyperplane.
        tilt = np.maximum(np.abs(before @ wall), TOLERANCE.flat)
        step = (np.abs(heights) / tilt).min(axis=1, keepdims=True) / 2
        found = np.concatenate([found[~cut], inside + step * wall, inside - step * wall])
        found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _planar_directions(unit: Floats) -> Floats:
    """Return the directions midway between neighbouring lines g_i·u = 0."""
    angles = np.sort(np.arctan2(unit[:, 1], unit[:, 0]) % np.pi)
    middle = (angles + np.append(angles[1:], angles[0] + np.pi)) / 2 + np.pi / 2
    half = np.stack([np.cos(middle), np.sin(middle)], axis=1)
    return np.concatenate([half, -half])


def _independent_first(unit: Floats) -> Indices:
    """Order vectors, shape (p, r), so that the first r are independent, and well so."""
    rest = unit.copy()
    chosen: list[int] = []
    for _ in range(unit.shape[1]):
        lengths = np.linalg.norm(rest, axis=1)
        lengths[chosen] = 0
        chosen.append(int(np.argmax(lengths)))
        axis = rest[chosen[-1]] / lengths[chosen[-1]]
        rest = rest - np.outer(rest @ axis, axis)
    return np.concatenate([chosen, np.setdiff1d(np.arange(len(unit)), chosen)]).astype(np.intp)
