"""Random marks, whose sum over a set of generators tells the set."""

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats


def random_marks(count: int) -> Floats:
    """Return two marks for each generator, shape (count, 2), the same ones at every call.

    They are integers below 2^40, so that sums of up to 2^13 of them are exact in float64, however
    they are added up.
    """
    return np.random.default_rng(0).integers(1 << 40, size=(count, 2)).astype(np.float64)


def keys(sums: Floats) -> NDArray[np.uint64]:
    """Return a 64-bit key of sums of marks, shape (..., 2): equal for equal sets, else different.

    Two of n sets get the same key with probability about n²/2^65.
    """
    whole = sums.astype(np.uint64)
    mixed: NDArray[np.uint64] = whole[..., 0] * np.uint64(0x9E3779B97F4A7C15) + whole[..., 1]
    return mixed
