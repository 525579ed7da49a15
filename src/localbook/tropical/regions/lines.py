"""Networks of one hidden layer: their folds are lines, and what is on each of them can be sorted.

Along a fold, or a side of the square, other folds cross at certain places; between two of these
lies one edge of a cell, on either side of the fold. In special positions, as of three folds through
one point, there is no order, and the functions here return None: cutting minds nothing.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.regions.cells import Cells, Layer
from localbook.tropical.regions.polygons import Polygons
from localbook.tropical.regions.ties import Ties

MOST = 512
"""Folds up to which all pairs of them are looked at."""

FEW = 128
"""Folds up to which all regions are faster to sort than to cut."""

APART = 1e-9
"""Crossings nearer than this to one another, or a lead this small at one, are left to cutting."""

_SIDES = np.array([[-1.0, 0, 1], [1, 0, 1], [0, -1, 1], [0, 1, 1]])  # positive in the square


@dataclass(frozen=True)
class Arrangement:
    """Folds in [-1, 1]^2, and the places on each, and on each side, where folds cross it."""

    folds: Floats  # (p, 3), of unit normals
    foot: Floats  # (p + 4, 2)
    along: Floats  # (p + 4, 2): the positive side is on the right
    stops: Floats  # (p + 4, p + 2), in order; after the last crossing the line's end, repeated
    order: Indices  # (p + 4, p): which folds cross there
    value: Floats  # (p + 4, p): all folds at the lines' beginnings
    tilt: Floats  # (p + 4, p): how they change along them
    turn: Floats  # (p + 4, p): 1 for those that get active at a crossing, -1, 0 if there is none

    def sums(self, start: NDArray[Any], steps: NDArray[Any]) -> NDArray[Any]:
        """Return a sum at the lines' beginnings and after each crossing (p + 4, p + 1)."""
        each = np.arange(len(self.foot))[:, None]
        return _sums(start, steps[each, self.order])

    def cells(self) -> tuple[Indices, Indices]:
        """Return a number of each edge's cell on the negative side, and what its twin's is more."""
        marks = _marks()[: len(self.folds)]
        cells = self.sums((self.value > 0) @ marks, self.turn.astype(np.intp) * marks)
        return cells, np.append(marks, np.zeros(4, dtype=np.intp))


def arranged(rows: Floats) -> Arrangement | None:
    """Return how folds (p, 3), which all enter the square, lie in it; None in special positions."""
    folds = rows / np.hypot(rows[:, 0], rows[:, 1])[:, None]
    count = len(folds)
    if count > MOST:
        return None
    lines = np.vstack([folds, _SIDES])
    foot, along = -lines[:, 2:] * lines[:, :2], lines[:, [1, 0]] * [-1, 1]
    height, tilt = foot @ folds[:, :2].T + folds[:, 2], along @ folds[:, :2].T  # (lines, folds)
    low, high = _inside(foot, along)
    own = np.arange(count)
    height[own, own] = tilt[own, own] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        place = -height / tilt
    place[own, own] = np.inf
    flat = np.abs(tilt) < APART
    flat &= np.abs(height) < 4 * APART
    flat[own, own] = False
    if flat.any() or (np.abs(place - low) < APART).any() or (np.abs(place - high) < APART).any():
        return None
    meets = (place > low) & (place < high)
    place[~meets] = np.inf
    order = np.argsort(place, axis=1)
    each = np.arange(len(lines))[:, None]
    stops = np.column_stack([low, np.minimum(place[each, order], high), high])
    if (np.diff(stops[:, :-1], axis=1)[meets[each, order]] < APART).any():
        return None
    turn = np.where(meets, np.sign(tilt), 0)
    return Arrangement(folds, foot, along, stops, order, height + low * tilt, tilt, turn)


def ties_by_lines(first: Layer, last: Layer) -> Ties | None:
    """Return all ties of two classes on [-1, 1]^2; None if folds or ties meet in special ways."""
    rows = np.column_stack([first.weight, first.offset[0]])
    lead, slopes = last.weight[0] - last.weight[1], last.slopes
    votes = lead * (1 - slopes)
    bends = (np.abs(rows[:, 2]) < np.abs(first.weight).sum(axis=1)) & (votes != 0)
    found = arranged(rows[bends])
    if found is None:
        return None
    affine = (lead * np.where((rows[:, 2] > 0) & ~bends, 1, slopes)) @ rows
    affine[2] += last.offset[0, 0] - last.offset[0, 1]
    votes = votes[bends] * np.hypot(*first.weight[bends].T)
    beginning = found.foot + found.stops[:, :1] * found.along
    start = affine[:2] @ beginning.T + affine[2] + np.maximum(found.value, 0) @ votes
    rise = affine[:2] @ found.along.T + ((found.value > 0) * found.tilt) @ votes
    steps = np.diff(found.stops, axis=1)
    ahead = _sums(start, found.sums(rise, found.turn * found.tilt * votes) * steps)
    if len(ahead) * np.abs(ahead).min() <= APART * np.abs(ahead).max():
        return None
    # Where the lead changes its sign along a line, a segment ends in both cells there.
    line, piece = np.nonzero((ahead[:, :-1] > 0) != (ahead[:, 1:] > 0))
    before, after = ahead[line, piece], ahead[line, piece + 1]
    t = found.stops[line, piece] + steps[line, piece] * (before / (before - after))
    points = found.foot[line] + t[:, None] * found.along[line]
    cells, marks = found.cells()
    fold = line < len(votes)
    cell = np.concatenate([cells[line, piece], (cells[line, piece] + marks[line])[fold]])
    ends = np.concatenate([points, points[fold]])[np.argsort(cell)]
    cell.sort()
    if len(cell) % 2 or (cell[::2] != cell[1::2]).any() or (cell[1:-1:2] == cell[2::2]).any():
        return None
    pairs = np.tile(np.array([[0, 1]], dtype=np.intp), (len(ends) // 2, 1))
    return Ties(ends.reshape(-1, 2, 2).transpose(2, 1, 0), pairs, [], pairs[:0])


def regions_by_lines(first: Layer, last: Layer) -> Cells | None:
    """Return the regions in [-1, 1]^2 and the outputs on them; None in special positions."""
    rows = np.column_stack([first.weight, first.offset[0]])
    bends = (np.abs(rows[:, 2]) < np.abs(first.weight).sum(axis=1)) & (last.slopes != 1)
    found = arranged(rows[bends]) if np.count_nonzero(bends) <= FEW else None
    if found is None:
        return None
    line, piece = np.nonzero(np.diff(found.stops, axis=1) > 0)
    cells, marks = found.cells()
    fold = line < len(found.folds)
    # Counter-clockwise, an edge runs along its line in the cell on the line's negative side.
    angle = np.arctan2(found.along[:, 1], found.along[:, 0])
    rank = np.argsort(np.argsort(np.concatenate([angle, (angle % (2 * np.pi)) - np.pi])))
    cell = np.concatenate([cells[line, piece][fold], cells[line, piece] + marks[line]])
    stop = np.concatenate([found.stops[line, piece][fold], found.stops[line, piece + 1]])
    owner = np.concatenate([line[fold], line])
    turned = np.concatenate([line[fold], line + len(angle)])
    cell = (cell << 11) + rank[turned]  # by cell, and by direction in each
    order = np.argsort(cell)
    corners = (found.foot[owner] + stop[:, None] * found.along[owner])[order].T
    start = np.flatnonzero(np.diff(cell[order] >> 11, prepend=-1, append=-1))
    crossings = np.count_nonzero(found.turn[: len(found.folds)]) // 2
    if len(start) - 1 != 1 + len(found.folds) + crossings:
        return None
    polygons = Polygons(np.ascontiguousarray(corners), start)
    active = first.weight @ polygons.centres + first.offset[0][:, None] > 0
    terms = (last.weight * rows.T[:, None]).reshape(-1, len(rows))  # of each coefficient and output
    maps = (terms @ np.where(active, 1, last.slopes[:, None])).reshape(3, len(last.weight), -1)
    maps[2] += last.offset[0][:, None]
    return Cells(polygons, np.concatenate([maps, np.zeros((1, *maps.shape[1:]))]))


@cache
def _marks() -> Indices:
    """Return a random number for each fold: cells have the sums of those active in them."""
    return np.random.default_rng(0).integers(2**62, size=MOST)


def _inside(foot: Floats, along: Floats) -> tuple[Floats, Floats]:
    """Return between which distances (lines, 1) from their feet lines are in [-1, 1]^2."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = np.stack([(-1 - foot) / along, (1 - foot) / along])  # (2, lines, 2)
    parallel: Masks = along == 0
    sides[:, parallel] = [[-np.inf], [np.inf]]
    low, high = sides.min(axis=0).max(axis=1), sides.max(axis=0).min(axis=1)
    return low[:, None], high[:, None]


def _sums(start: NDArray[Any], steps: NDArray[Any]) -> NDArray[Any]:
    """Return start (n,) and what it becomes step by step, (n, k + 1) for steps (n, k)."""
    return np.cumsum(np.column_stack([start, steps]), axis=1)
