"""Planes through three test images, on which networks are compared exactly."""

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Box
from localbook.tropical import Plane, plane_through

_MARGIN = 0.25  # how far a slice reaches beyond its three images, in parts of their box


def image_plane(
    images: NDArray[np.float64], labels: NDArray[np.int64], number: int
) -> tuple[Plane, Box]:
    """Return the plane through three images of different classes, and the box around them.

    The images are drawn from the number alone: the same for all networks.

    Parameters
    ----------
    images : ndarray (N, inputs)
    labels : ndarray (N,)
    number : int
    """
    rng = np.random.default_rng(number)
    classes = rng.choice(np.unique(labels), 3, replace=False)
    chosen = images[[rng.choice(np.flatnonzero(labels == k)) for k in classes]]
    plane = plane_through(*chosen)
    corners = plane.coordinates(chosen)
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = _MARGIN * (high - low)
    (x0, y0), (x1, y1) = (low - margin).tolist(), (high + margin).tolist()
    return plane, ((x0, x1), (y0, y1))
