"""The form in which the mathematics takes its numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Masks = NDArray[np.bool_]
Box = tuple[tuple[float, float], tuple[float, float]]
Row = dict[str, Any]  # one line of a table, by column


def floats(value: Any) -> Floats:
    """Return an array-like, or a tensor of any type, device and history, in double precision."""
    if callable(detach := getattr(value, "detach", None)):
        value = detach().cpu().double().numpy()
    return np.asarray(value, dtype=np.float64)
