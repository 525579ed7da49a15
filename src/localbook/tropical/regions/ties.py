"""Ties for the top score on the square [-1, 1]^2, where the scores are piecewise affine.

Bounds on all class scores over a cell say which cells can hold a tie: a neuron whose pre-activation
z ranges over [l, u] with l < 0 < u obeys c z <= relu(z) <= c (z - l), c = u / (u - l): relu(z) is
the affine function c z - c l / 2, up to a spread of -c l / 2, and max(z, 0) + s min(z, 0) is s z +
(1 - s) relu(z); sums of such functions are affine functions with a spread again: the bounds pass
through all layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.points import same_points
from localbook.tropical.regions.cells import (
    Cells,
    Folds,
    Layer,
    add_active,
    cut_layer,
    next_layer,
    square_cell,
    value_at,
)
from localbook.tropical.regions.polygons import Polygons
from localbook.tropical.tolerance import TOLERANCE


@dataclass(frozen=True)
class Ties:
    """Where two classes tie for the top score, on segments and all over polygons."""

    ends: Floats  # (2 coordinates, 2 ends, m)
    classes: Indices  # (m, 2), smaller first
    areas: list[Floats]  # (2, corners) each
    area_classes: Indices  # (len(areas), 2)


def ties_on_square(layers: Sequence[Layer]) -> Ties:
    """Return all ties on [-1, 1]^2 of a network whose first layer takes two inputs."""
    cells = _cells_with_ties(layers)
    found = [_ties(cells, i, j) for i, j in _pairs(cells)]
    ends = np.concatenate([np.empty((2, 2, 0)), *(tie.ends for tie in found)], axis=-1)
    number = np.repeat(np.arange(len(found)), [tie.ends.shape[-1] for tie in found])
    once = _without_repeats(ends, number, [tie.on_side for tie in found])
    pairs = np.array([tie.classes for tie in found], dtype=np.intp).reshape(-1, 2)
    areas = [area for tie in found for area in tie.areas]
    return Ties(
        ends[..., once],
        pairs[number[once]],
        areas,
        np.repeat(pairs, [len(tie.areas) for tie in found], axis=0),
    )


def _cells_with_ties(layers: Sequence[Layer]) -> Cells:
    """Return cells with affine class scores that cover all ties for the top score."""
    cells = square_cell(layers[0])
    for depth in range(1, len(layers)):
        cells = cut_layer(cells, layers[depth], prune=partial(_can_tie, rest=layers[depth + 1 :]))
    return cells


def _can_tie(cells: Cells, folds: Folds, jump: Floats, rest: Sequence[Layer]) -> Masks:
    """Tell for each cell (m,) whether two classes can tie for the top score somewhere in it."""
    centres, reach = cells.polygons.centres, _reach(cells)
    maps = _unfold(cells, folds, jump, reach)
    for following in rest:
        height = value_at(maps, centres)
        extent = np.hypot(maps[0], maps[1]) * reach + maps[4]
        slopes = following.slopes[:, None]
        maps = next_layer(_relax(maps, height - extent, height + extent, slopes), following)
    top = value_at(maps, centres).argmax(axis=0)
    every = np.arange(len(top))
    lead = maps[:3, top, every][:, None] - maps[:3]  # (3, classes, m)
    least = np.minimum.reduceat(cells.polygons.values(lead), cells.polygons.start[:-1], axis=1)
    slack = maps[4] + TOLERANCE.rounding * maps[3]
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


def _unfold(cells: Cells, folds: Folds, jump: Floats, reach: Floats) -> Floats:
    """Return the next layer's maps with the folding neurons relaxed, and spreads as a fifth row."""
    maps = np.concatenate([cells.maps, np.zeros((1, *cells.maps.shape[1:]))])
    extent = np.hypot(folds.line[0], folds.line[1]) * reach[folds.cell]
    line = np.concatenate([folds.line, np.zeros((1, len(folds.cell)))])
    line = _relax(line, folds.height - extent, folds.height + extent, np.zeros(1))
    add_active(maps, jump, replace(folds, line=line))
    return maps


def _relax(maps: Floats, low: Floats, high: Floats, slopes: Floats) -> Floats:
    """Return what neurons make of affine functions (5, ...) with values in [low, high]."""
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    chord = np.divide(high, high - low, out=np.zeros_like(high), where=high > 0)
    half = (1 - slopes) * -chord * low / 2
    out = (slopes + (1 - slopes) * chord) * maps
    out[2] += half
    out[3] = (np.abs(slopes) + np.abs(1 - slopes) * chord) * maps[3]
    out[4] = np.abs(out[4]) + np.abs(half)
    return out


def _pairs(cells: Cells) -> list[tuple[int, int]]:
    """Return the pairs of classes that may tie for the top score in the same cell."""
    polygons, maps = cells.polygons, cells.maps
    if not len(polygons):
        return []
    top = value_at(maps, polygons.centres).argmax(axis=0)
    every = np.arange(len(top))
    behind = polygons.values(maps[:3] - maps[:3, top, every][:, None])
    nearest = np.maximum.reduceat(behind, polygons.start[:-1], axis=1)
    possible = nearest >= -TOLERANCE.rounding * (maps[3] + maps[3, top, every])  # (classes, m)
    together = possible.astype(np.float64) @ possible.T
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(together, 1))]


@dataclass(frozen=True)
class _Tie:
    """Where two classes tie for the top: segments, which of them are sides of cells, areas."""

    classes: tuple[int, int]
    ends: Floats  # (2 coordinates, 2 ends, k)
    on_side: Masks  # (k,)
    areas: list[Floats]  # (2, corners) each


def _ties(cells: Cells, i: int, j: int) -> _Tie:
    polygons = cells.polygons
    value = _clear(polygons, cells.maps, i, j)
    low = np.minimum.reduceat(value, polygons.start[:-1])
    high = np.maximum.reduceat(value, polygons.start[:-1])
    meets = (low <= 0) & (high >= 0)
    flat = (low == 0) & (high == 0)
    value *= np.where(high > 0, 1, -1)[polygons.owner]  # a side with a tie needs a side above it
    ends = np.stack([end[:, 0] for end in polygons.chords(value[None])], axis=1)
    chosen = meets & ~flat
    ends, maps = ends[..., chosen], cells.maps[..., chosen]
    others = [k for k in range(maps.shape[1]) if k not in (i, j)]
    start, stop = where_ahead(ends, maps, i, others)
    run = ends[:, 1] - ends[:, 0]
    ends = np.stack([ends[:, 0] + start * run, ends[:, 0] + stop * run], axis=1)
    long = (stop > start) & (np.hypot(*(ends[:, 1] - ends[:, 0])) > TOLERANCE.contact)
    on_side = (low[chosen] == 0) | (high[chosen] == 0)
    return _Tie((i, j), ends[..., long], on_side[long], _areas(cells.select(flat), i, others))


def _clear(polygons: Polygons, maps: Floats, i: int, j: int) -> Floats:
    """Return f_i - f_j at all corners, 0 where rounding hides its sign."""
    value = polygons.values(maps[:3, i] - maps[:3, j])
    slack = TOLERANCE.rounding * (maps[3, i] + maps[3, j])
    value[np.abs(value) <= slack[polygons.owner]] = 0
    return value


def where_ahead(ends: Floats, maps: Floats, i: int, others: list[int]) -> tuple[Floats, Floats]:
    """Return the part [start, stop] of each segment, in [0, 1], where no other class beats i."""
    start, stop = np.zeros(ends.shape[-1]), np.ones(ends.shape[-1])
    for k in others:
        lead = maps[:3, i] - maps[:3, k]
        first, last = value_at(lead, ends[:, 0]), value_at(lead, ends[:, 1])
        slack = TOLERANCE.rounding * (maps[3, i] + maps[3, k])
        start[(first < -slack) & (last < -slack)] = 2
        t = np.divide(first, first - last, out=np.zeros_like(first), where=first != last)
        np.maximum(start, t, out=start, where=(first < -slack) & (last >= -slack))
        np.minimum(stop, t, out=stop, where=(first >= -slack) & (last < -slack))
    return start, stop


def _areas(cells: Cells, i: int, others: list[int]) -> list[Floats]:
    """Return the parts of cells where no other class beats i."""
    for k in others:
        ahead = cells.polygons.split(_clear(cells.polygons, cells.maps, i, k))[0]
        real = ahead.sizes > 0
        cells = Cells(ahead.select(real), cells.maps[..., real])
    return cells.polygons.separate()


def _without_repeats(ends: Floats, number: Indices, on_side: list[Masks]) -> Masks:
    """Mark all segments, but of those on sides only one of the two that neighbours report."""
    once = ~np.concatenate([np.empty(0, np.bool_), *on_side])
    sides = np.flatnonzero(~once)
    place = same_points(ends[..., sides].mean(axis=1).T, TOLERANCE.contact)
    _, first = np.unique(np.stack([place, number[sides]]), axis=1, return_index=True)
    once[sides[first]] = True
    return once
