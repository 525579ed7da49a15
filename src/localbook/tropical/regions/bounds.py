"""Which cells can hold a piece of the decision boundary: bounds on all class scores over a cell.

A neuron whose pre-activation z ranges over [l, u] with l < 0 < u obeys s z <= relu(z) <= s (z - l),
s = u / (u - l). So relu(z) is the affine function s z - s l / 2, up to a spread of -s l / 2. Sums
of such functions are affine functions with a spread again: the bounds pass through all layers.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from localbook.arrays import Floats, Masks
from localbook.tropical.regions.cells import (
    ROUNDING,
    Cells,
    Folds,
    Layer,
    add_active,
    next_layer,
    value_at,
)


def can_tie(cells: Cells, folds: Folds, weight: Floats, rest: Sequence[Layer]) -> Masks:
    """Return for each cell (m,) whether two classes can tie for the top score somewhere in it.

    Parameters
    ----------
    cells : Cells
        With the next layer's maps as they are while all folding neurons are off.
    folds : Folds
        The neurons of the current layer that change sign in a cell.
    weight : ndarray
        The next layer's weights.
    rest : sequence of Layer
        The layers after the next one.

    Returns
    -------
    ndarray of bool
        False only where one class is above all others on the whole cell.
    """
    centres, reach = cells.polygons.centres, _reach(cells)
    maps = _unfold(cells, folds, weight, reach)
    for following in rest:
        height = value_at(maps, centres)
        extent = np.hypot(maps[0], maps[1]) * reach + maps[4]
        maps = next_layer(_relax(maps, height - extent, height + extent), following)
    top = value_at(maps, centres).argmax(axis=0)
    every = np.arange(len(top))
    lead = maps[:3, top, every][:, None] - maps[:3]  # (3, classes, m)
    least = np.minimum.reduceat(cells.polygons.values(lead), cells.polygons.start[:-1], axis=1)
    slack = maps[4] + ROUNDING * maps[3]
    ahead = least > slack + slack[top, every]
    ahead[top, every] = True
    undecided: Masks = ~ahead.all(axis=0)
    return undecided


def _reach(cells: Cells) -> Floats:
    """Return the distance from each cell's centre to its farthest corner (m,)."""
    polygons = cells.polygons
    x, y = polygons.corners - polygons.centres[:, polygons.owner]
    reach: Floats = np.sqrt(np.maximum.reduceat(x * x + y * y, polygons.start[:-1]))
    return reach


def _unfold(cells: Cells, folds: Folds, weight: Floats, reach: Floats) -> Floats:
    """Return the next layer's maps with the folding neurons relaxed, and spreads as a fifth row."""
    maps = np.concatenate([cells.maps, np.zeros((1, *cells.maps.shape[1:]))])
    extent = np.hypot(folds.line[0], folds.line[1]) * reach[folds.cell]
    line = np.concatenate([folds.line, np.zeros((1, len(folds.cell)))])
    line = _relax(line, folds.height - extent, folds.height + extent)
    add_active(maps, weight, replace(folds, line=line))
    return maps


def _relax(maps: Floats, low: Floats, high: Floats) -> Floats:
    """Return what the ReLU makes of affine functions (5, ...) with values in [low, high]."""
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    slope = np.divide(high, high - low, out=np.zeros_like(high), where=high > 0)
    half = -slope * low / 2
    maps = slope * maps
    maps[2] += half
    maps[4] += half
    return maps
