"""All linear regions of a ReLU network of two inputs in a box."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from localbook.arrays import Box, Floats, Indices, Masks
from localbook.tropical.networks import ReLUNetwork, as_network, window
from localbook.tropical.points import same_points
from localbook.tropical.regions.cells import Layer, cut_layer, layers_of, square_cell
from localbook.tropical.regions.lines import regions_by_lines
from localbook.tropical.regions.polygons import Polygons
from localbook.tropical.tolerance import TOLERANCE

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class LinearRegions:
    """The regions of a box on which every neuron keeps its sign.

    Attributes
    ----------
    network : ReLUNetwork
    corners : ndarray (n, 2)
        Corners of all regions, one region after the other, each counter-clockwise.
    start : ndarray (m + 1,)
        Region i has the corners ``start[i]`` to ``start[i + 1]``.
    slopes : ndarray (m, classes, 2)
    intercepts : ndarray (m, classes)
        On region i the network is x -> slopes[i] @ x + intercepts[i].
    """

    network: ReLUNetwork
    corners: Floats
    start: Indices
    slopes: Floats
    intercepts: Floats

    def __len__(self) -> int:
        return len(self.start) - 1

    @property
    def polygons(self) -> list[Floats]:
        """The corners (k, 2) of each region."""
        return np.split(self.corners, self.start[1:-1])

    @cached_property
    def areas(self) -> Floats:
        """The area of each region (m,)."""
        x, y = self.corners.T - np.repeat(self.centres.T, np.diff(self.start), axis=1)
        after = self._packed.following
        return np.add.reduceat(x * y[after] - x[after] * y, self.start[:-1]) / 2

    @property
    def centres(self) -> Floats:
        """A point (m, 2) inside each region: the mean of its corners."""
        return self._packed.centres.T

    @cached_property
    def patterns(self) -> Masks:
        """Which hidden neurons are active in each region (m, neurons), first layer first."""
        return self.network.pattern(self.centres)

    @cached_property
    def adjacency(self) -> Indices:
        """The pairs (k, 2) of regions that share a side, smaller number first."""
        packed, box = self._packed, np.ptp(self.corners, axis=0)[:, None]
        point = same_points((packed.corners / box).T, TOLERANCE.contact)
        side = _pair_keys(point, point[packed.following], len(point))
        proper = np.flatnonzero(point != point[packed.following])
        order = proper[np.argsort(side[proper])]
        twin = np.flatnonzero(np.diff(side[order]) == 0)
        region, other = packed.owner[order[twin]], packed.owner[order[twin + 1]]
        pairs = np.unique(_pair_keys(region, other, len(self)))
        return np.stack(np.divmod(pairs, len(self)), axis=1)

    @cached_property
    def _packed(self) -> Polygons:
        return Polygons(self.corners.T, self.start)


def linear_regions(model: "ReLUNetwork | nn.Module", box: Box) -> LinearRegions:
    """Return the linear regions of a network of two inputs in a box.

    Exact up to rounding, without grid or sampling: the box is cut along the folds of the first
    layer, the pieces along those of the second, and so on.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
        With two inputs; see :func:`from_torch` for the modules and :func:`plane_through` for two-
        dimensional slices of more inputs.
    box : ((x0, x1), (y0, y1))

    Returns
    -------
    LinearRegions

    Raises
    ------
    ConfigError
        If the model cannot be converted or does not take two inputs.
    GeometryError
        If the box has no area.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> fold = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> net = tropical.ReLUNetwork((fold, np.eye(2)), (np.zeros(2), np.zeros(2)))
    >>> len(tropical.linear_regions(net, ((-1, 1), (-1, 1))))
    4
    """
    network = as_network(model)
    view, on_square = window(box, network)
    first, *layers = layers_of(on_square)
    found = regions_by_lines(first, *layers) if len(layers) == 1 else None
    polygons, maps = found or _by_cutting(first, layers)
    slopes = maps[:2] / view.half[:, None, None]
    intercepts = maps[2] - view.centre[0] * slopes[0] - view.centre[1] * slopes[1]
    return LinearRegions(
        network,
        np.ascontiguousarray(view.place(polygons.corners).T),
        polygons.start,
        np.ascontiguousarray(slopes.transpose(2, 1, 0)),
        np.ascontiguousarray(intercepts.T),
    )


def _by_cutting(first: Layer, layers: list[Layer]) -> tuple[Polygons, Floats]:
    """Return the regions in [-1, 1]^2 and the outputs on them (3 or more, classes, m)."""
    cells = square_cell(first)
    for layer in layers:
        cells = cut_layer(cells, layer)
    return cells.polygons, cells.maps


def _pair_keys(p: Indices, q: Indices, count: int) -> Indices:
    """Return one number for each unordered pair of numbers below ``count``."""
    return np.minimum(p, q) * count + np.maximum(p, q)
