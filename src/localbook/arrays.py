"""The form in which the mathematics takes its numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Masks = NDArray[np.bool_]
Box = tuple[tuple[float, float], tuple[float, float]]
Row = dict[str, Any]  # one line of a table, by column
