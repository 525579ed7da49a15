"""The point of the decision boundary that is nearest to a point of the plane."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.networks import ReLUNetwork, as_network
from localbook.tropical.regions.boundary import DecisionBoundary, decision_boundary
from localbook.tropical.tolerance import TOLERANCE, finite

if TYPE_CHECKING:
    from torch import nn

_FAR = 2.0**40
"""Times the first reach, where the search ends."""


@dataclass(frozen=True)
class NearestTie:
    """The nearest point where two classes tie for the top.

    Attributes
    ----------
    point : float array, shape (2,)
    distance : float
        Euclidean; 0 in an area of ties.
    classes : tuple of two int
        Smaller first.
    """

    point: Floats
    distance: float
    classes: tuple[int, int]


def nearest_boundary(
    model: "ReLUNetwork | nn.Module", point: ArrayLike, *, reach: float = 1.0, level: float = 0.0
) -> NearestTie:
    """Return the point of the decision boundary of a network of two inputs that is nearest.

    Exact up to rounding, without bisection or gradients: the point is projected on every segment of
    the exact boundary in the square of points at most ``reach`` away along each axis, which is made
    larger until it holds the whole disc up to the nearest one. On a slice, distances are those
    within it: give ``plane.restrict(network)`` and ``plane.coordinates(x)``, and lift the answer.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
        With two inputs.
    point : array_like, shape (2,)
    reach : float
        How far to look first.
    level : float
        For networks with one output, as for :func:`decision_boundary`.

    Raises
    ------
    ConfigError
        As :func:`decision_boundary`.
    GeometryError
        If the point is not finite, the reach is not positive, or there is no boundary within 2^40
        times the reach.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> diamond = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    >>> net = tropical.ReLUNetwork((diamond, np.ones((1, 4))), (np.zeros(4), np.zeros(1)))
    >>> nearest = tropical.nearest_boundary(net, [0.2, 0.2], level=1.0)
    >>> nearest.point.round(6).tolist(), round(nearest.distance, 6)
    ([0.5, 0.5], 0.424264)
    """
    network, centre = as_network(model), finite(point, "the point", (2,))
    if not 0 < reach < np.inf:
        raise GeometryError(f"a reach of {reach} leaves nothing to look at; give a positive one.")
    radius = float(reach)
    while radius <= _FAR * reach:
        (x0, y0), (x1, y1) = (centre - radius).tolist(), (centre + radius).tolist()
        found = _nearest(decision_boundary(network, ((x0, x1), (y0, y1)), level=level), centre)
        if found is not None and found.distance <= radius:
            return found
        # No point outside the square is nearer than its sides.
        radius = 4 * radius if found is None else found.distance * (1 + TOLERANCE.apart)
    raise GeometryError(
        f"there is no boundary within {_FAR * reach:.0e}: one class seems to win everywhere."
    )


def _nearest(boundary: DecisionBoundary, point: Floats) -> NearestTie | None:
    """Return the nearest point on segments and areas, None if there are none."""
    for area, (i, j) in zip(boundary.tied, boundary.tied_classes.tolist(), strict=True):
        side, to = np.roll(area, -1, axis=0) - area, point - area
        if (side[:, 0] * to[:, 1] - side[:, 1] * to[:, 0] >= 0).all():
            return NearestTie(point, 0.0, (i, j))
    sides = [np.stack([area, np.roll(area, -1, axis=0)], axis=1) for area in boundary.tied]
    start, end = np.concatenate([boundary.segments, *sides]).transpose(1, 0, 2)
    owner: Indices = np.repeat(boundary.tied_classes, [len(s) for s in sides], axis=0)
    classes = np.concatenate([boundary.classes, owner])
    if not len(classes):
        return None
    run = end - start
    share = np.einsum("md,md->m", point - start, run) / np.square(run).sum(axis=1)
    projected = start + np.clip(share, 0, 1)[:, None] * run
    distances = np.linalg.norm(projected - point, axis=1)
    k = int(distances.argmin())
    i, j = classes[k].tolist()
    return NearestTie(projected[k], float(distances[k]), (i, j))
