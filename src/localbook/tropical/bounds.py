"""Which cells can hold a piece of the decision boundary: bounds on all class scores over a cell.

A neuron whose pre-activation z ranges over [l, u] with l < 0 < u obeys s z <= relu(z) <= s (z - l),
s = u / (u - l). So relu(z) is the affine function s z - s l / 2, up to a spread of -s l / 2. Sums
of such functions are affine functions with a spread again: the bounds pass through all layers.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from localbook.tropical.subdivision import (
    ROUNDING,
    Cells,
    Folds,
    add_by_cell,
    next_layer,
    outgoing,
    value_at,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def can_tie(cells: Cells, folds: Folds, weight: Array, rest: Sequence[tuple[Array, Array]]) -> Mask:
    """Return for each cell (m,) whether two classes can tie for the top score somewhere in it.

    Parameters
    ----------
    cells : Cells
        With the next layer's maps as they are while all folding neurons are off.
    folds : Folds
        The neurons of the current layer that change sign in a cell.
    weight : ndarray
        The next layer's weights.
    rest : sequence of (weight, bias)
        The layers after the next one.

    Returns
    -------
    ndarray of bool
        False only where one class is above all others on the whole cell.
    """
    centres, reach = cells.polygons.centres, _reach(cells)
    maps, spread = _unfold(cells, folds, weight, reach)
    for following, bias in rest:
        maps, spread = _relax(maps, spread, value_at(maps, centres), reach)
        maps, spread = next_layer(maps, following, bias), np.abs(following) @ spread
    top = value_at(maps, centres).argmax(axis=0)
    every = np.arange(len(top))
    lead = maps[:3, top, every][:, None] - maps[:3]  # (3, classes, m)
    least = np.minimum.reduceat(cells.polygons.values(lead), cells.polygons.start[:-1], axis=1)
    slack = spread + ROUNDING * maps[3]
    ahead = least > slack + slack[top, every]
    ahead[top, every] = True
    undecided: Mask = ~ahead.all(axis=0)
    return undecided


def _reach(cells: Cells) -> Array:
    """Return the distance from each cell's centre to its farthest corner (m,)."""
    polygons = cells.polygons
    x, y = polygons.corners - polygons.centres[:, polygons.owner]
    return np.sqrt(np.maximum.reduceat(x * x + y * y, polygons.start[:-1]))


def _unfold(cells: Cells, folds: Folds, weight: Array, reach: Array) -> tuple[Array, Array]:
    """Add the folding neurons' relaxed activations to the next layer."""
    maps, spread = cells.maps.copy(), np.zeros(cells.maps.shape[1:])
    extent = np.hypot(folds.line[0], folds.line[1]) * reach[folds.cell]
    slope, half = _envelope(folds.height - extent, folds.height + extent)
    line = slope * folds.line
    line[2] += half
    add_by_cell(maps, folds.cell, outgoing(weight, folds.neuron, line))
    add_by_cell(spread, folds.cell, np.abs(weight)[:, folds.neuron] * half)
    return maps, spread


def _relax(maps: Array, spread: Array, height: Array, reach: Array) -> tuple[Array, Array]:
    """Return what the ReLU makes of affine functions (4, k, m) with a spread (k, m)."""
    extent = np.hypot(maps[0], maps[1]) * reach + spread
    slope, half = _envelope(height - extent, height + extent)
    maps = slope * maps
    maps[2] += half
    return maps, slope * spread + half


def _envelope(low: Array, high: Array) -> tuple[Array, Array]:
    """Return slope s and half width -s l / 2 of the strip around relu on [low, high]."""
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    slope = np.divide(high, high - low, out=np.zeros_like(high), where=high > 0)
    return slope, -slope * low / 2
