"""Labels of sets: random marks whose sums tell them apart, and the merging of parallel vectors."""

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats
from localbook.tropical.points import same_points


def merge_parallel(
    vectors: Floats, payload: Floats, tolerance: float
) -> tuple[Floats, Floats, Floats]:
    """Add up the payloads of parallel vectors.

    A vector opposite to the one that stands for its direction is turned, -g for g, and its payload
    g is added to the base, since [0, 1]·g = g + [0, 1]·(-g).

    Returns one unit vector (m, r) and one payload (m, q) for each direction, and what to add to
    every chamber's sum (q,).
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


def random_marks(count: int) -> Floats:
    """Return two marks for each generator (count, 2), the same ones at every call."""
    # Integers below 2^40: sums of up to 2^13 are exact in float64, however they are added up.
    return np.random.default_rng(0).integers(1 << 40, size=(count, 2)).astype(np.float64)


def keys(sums: Floats) -> NDArray[np.uint64]:
    """Return a 64-bit key of sums of marks, shape (..., 2): equal for equal sets, else different.

    Two of n sets get the same key with probability about n²/2^65.
    """
    whole = sums.astype(np.uint64)
    mixed: NDArray[np.uint64] = whole[..., 0] * np.uint64(0x9E3779B97F4A7C15) + whole[..., 1]
    return mixed
