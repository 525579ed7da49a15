"""Merging of parallel vectors."""

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.points import same_points


def merge_parallel(
    vectors: Floats, payload: Floats, tolerance: float
) -> tuple[Floats, Floats, Floats]:
    """Add up the payloads of parallel vectors.

    A vector opposite to the one that stands for its direction is turned, -g for g, and its payload
    g is added to the base, since [0, 1]·g = g + [0, 1]·(-g).

    Parameters
    ----------
    vectors : float array, shape (p, r)
        Non-zero.
    payload : float array, shape (p, q)
    tolerance : float
        The largest difference of unit vectors that are the same.

    Returns
    -------
    vectors : float array, shape (m, r)
        One unit vector for each direction.
    payload : float array, shape (m, q)
    base : float array, shape (q,)
        The payload to add to every chamber's sum.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    label = same_points(unit, tolerance, up_to_sign=True)
    if (label == np.arange(len(label))).all():
        return unit, payload, np.zeros(payload.shape[1])
    leaders, group = np.unique(label, return_inverse=True)
    turned = np.einsum("pr,pr->p", unit, unit[label]) < 0
    summed = np.zeros((len(leaders), payload.shape[1]))
    np.add.at(summed, group, np.where(turned[:, None], -payload, payload))
    return unit[leaders], summed, payload[turned].sum(axis=0)
