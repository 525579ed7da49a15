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

from localbook.arrays import Floats, Indices
from localbook.tropical.regions.cells import Layer
from localbook.tropical.regions.polygons import Polygons
from localbook.tropical.regions.ties import Ties
from localbook.tropical.tolerance import TOLERANCE

MOST = 512
"""Folds up to which sorting ties beats cutting."""

MOST_CELLS = 1024
"""Folds up to which all pairs of them are looked at for their regions."""

BLOCK = 2**17
"""Numbers that are added up along lines at a time: few enough for the processor's cache."""

_SIDES = np.array([[-1.0, 0, 1], [1, 0, 1], [0, -1, 1], [0, 1, 1]])  # positive in the square


@dataclass(frozen=True)
class Arrangement:
    """The p folds and four sides of [-1, 1]^2 as n = p + 4 lines, and where on each others cross.

    A line has up to m crossings, the first and the last with sides, and up to m - 1 pieces.
    """

    foot: Floats  # (n, 2)
    along: Floats  # (n, 2): the positive side is on the right
    stops: Floats  # (n, m), in order; after the last crossing its place, repeated
    order: Indices  # (n, m): which lines cross there
    turn: Floats  # (n, m): 1 for those that get active there, -1, 0 after the last crossing
    value: Floats  # (n, n): all lines at the lines' beginnings
    tilt: Floats  # (n, n): how they change along them

    @property
    def folds(self) -> int:
        """The number p of folds, which come before the sides."""
        return len(self.foot) - 4

    def sums(self, start: NDArray[Any], gain: NDArray[Any]) -> NDArray[Any]:
        """Return sums (..., n, m) on all pieces, and past the last.

        They begin with ``start`` (..., n), and add ``gain`` (..., n, m) where a line gets active.
        """
        terms = gain * self.turn.astype(gain.dtype, copy=False)
        terms[..., 0] = start  # at the crossing with a side
        return np.cumsum(terms, axis=-1, out=terms)


def arranged(rows: Floats) -> Arrangement | None:
    """Return how folds (p, 3), which all enter the square, lie in it; None in special positions."""
    apart = TOLERANCE.apart
    lines = np.vstack([rows / np.hypot(rows[:, 0], rows[:, 1])[:, None], _SIDES])
    own = np.arange(len(lines))
    foot, along = -lines[:, 2:] * lines[:, :2], lines[:, [1, 0]] * [-1, 1]
    height, tilt = foot @ lines[:, :2].T + lines[:, 2], along @ lines[:, :2].T
    height[own, own] = tilt[own, own] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        place = -height / tilt
    sides, into = place[:, -4:], tilt[:, -4:]
    low = np.where(into > 0, sides, -np.inf).max(axis=1)[:, None]
    high = np.where(into < 0, sides, np.inf).min(axis=1)[:, None]
    meets = (place > low - apart) & (place < high + apart)
    count = np.count_nonzero(meets, axis=1)
    inner = np.count_nonzero((place > low + apart) & (place < high - apart), axis=1)
    flat = (np.abs(tilt) < apart) & (np.abs(height) < 4 * apart)
    flat[own, own] = False
    if flat.any() or (count != inner + 2).any() or (meets != meets.T).any():
        return None
    place[~meets] = np.inf
    order = np.argsort(place, axis=1)[:, : count.max()]
    stops = np.minimum(place[own[:, None], order], high)
    if np.count_nonzero(stops[:, 1:] - stops[:, :-1] < apart) > order.size - count.sum():
        return None
    turn = np.sign(tilt[own[:, None], order])
    turn[np.arange(len(turn[0])) >= count[:, None]] = 0
    return Arrangement(foot, along, stops, order, turn, height + low * tilt, tilt)


def ties_by_lines(first: Layer, last: Layer) -> Ties | None:
    """Return all ties of two classes on [-1, 1]^2; None if folds or ties meet in special ways."""
    rows = np.column_stack([first.weight, first.offset[0]])
    lead, slopes = last.weight[0] - last.weight[1], last.slopes
    votes = lead * (1 - slopes)
    bends = (np.abs(rows[:, 2]) < np.abs(first.weight).sum(axis=1)) & (votes != 0)
    found = arranged(rows[bends]) if np.count_nonzero(bends) <= MOST else None
    if found is None:
        return None
    affine = (lead * np.where((rows[:, 2] > 0) & ~bends, 1, slopes)) @ rows
    affine[2] += last.offset[0, 0] - last.offset[0, 1]
    votes = np.append(votes[bends] * np.hypot(*first.weight[bends].T), np.zeros(4))
    beginning = found.foot + found.stops[:, :1] * found.along
    start = affine[:2] @ beginning.T + affine[2] + np.maximum(found.value, 0) @ votes
    rise = affine[:2] @ found.along.T + ((found.value > 0) * found.tilt) @ votes
    steps = np.diff(found.stops)
    rises = found.sums(rise, np.take_along_axis(found.tilt * votes, found.order, axis=1))
    ahead = np.cumsum(np.column_stack([start, rises[:, :-1] * steps]), axis=1)
    if len(ahead) * np.abs(ahead).min() <= TOLERANCE.apart * np.abs(ahead).max():
        return None
    # Where the lead changes its sign along a line, a segment ends in both cells there.
    line, piece = np.nonzero((ahead[:, :-1] > 0) != (ahead[:, 1:] > 0))
    before, after = ahead[line, piece], ahead[line, piece + 1]
    t = found.stops[line, piece] + steps[line, piece] * (before / (before - after))
    points = found.foot[line] + t[:, None] * found.along[line]
    marks = _marks()[: len(votes)] * (np.arange(len(votes)) < found.folds)
    cells = found.sums((found.value > 0) @ marks, marks[found.order])[line, piece]
    fold = line < found.folds
    cell = np.concatenate([cells, (cells + marks[line])[fold]])
    ends = np.concatenate([points, points[fold]])[np.argsort(cell)]
    cell.sort()
    if len(cell) % 2 or (cell[::2] != cell[1::2]).any() or (cell[1:-1:2] == cell[2::2]).any():
        return None
    pairs = np.tile(np.array([[0, 1]], dtype=np.intp), (len(ends) // 2, 1))
    return Ties(ends.reshape(-1, 2, 2).transpose(2, 1, 0), pairs, [], pairs[:0])


def regions_by_lines(first: Layer, last: Layer) -> tuple[Polygons, Floats] | None:
    """Return the regions in [-1, 1]^2 and the outputs (3, classes, m) on them.

    Outputs are added up along folds, as neurons turn on and off. None if folds meet in special
    ways.
    """
    rows = np.column_stack([first.weight, first.offset[0]])
    bends = (np.abs(rows[:, 2]) < np.abs(first.weight).sum(axis=1)) & (last.slopes != 1)
    found = arranged(rows[bends]) if np.count_nonzero(bends) <= MOST_CELLS else None
    walks = None if found is None else _walks(found)
    if found is None or walks is None:
        return None
    edges, start = walks
    back = len(found.order) * len(found.order[0]) - 1
    ends = (found.foot[:, k, None] + found.stops * found.along[:, k, None] for k in (0, 1))
    here = np.where(edges > back, edges - back, edges)
    polygons = Polygons(np.stack([end.ravel().take(here) for end in ends]), start)
    always = np.where((rows[:, 2] > 0) & ~bends, 1, last.slopes)
    affine = (rows * always[:, None]).T @ last.weight.T  # (3, classes)
    affine[2] += last.offset[0]
    gains = np.zeros((*affine.shape, len(found.order)))
    gains[..., :-4] = last.jump[:, bends] * rows[bends].T[:, None]
    maps = _on_cells(found, affine.ravel(), gains.reshape(affine.size, -1), edges[start[:-1]])
    return polygons, maps.reshape(*affine.shape, -1)


def _walks(found: Arrangement) -> tuple[Indices, Indices] | None:
    """Return the edges around each cell, and where each cell's begin; None if they do not close.

    A cell on a line's negative side is to the left of its piece k, which is the edge ``line * m +
    k``; walked back, and a number of lines times m larger, the edge has the other cell to its left.
    """
    (lines, most), size = found.order.shape, found.order.size
    each = np.arange(lines)[:, None]
    place = np.zeros((lines, lines), dtype=np.intp)
    place[each, found.order] = np.arange(size).reshape(lines, most)
    there, on = place[found.order, each], found.turn > 0
    if (found.turn.take(there) * np.abs(found.turn) != -found.turn).any():
        return None
    after = np.zeros((2, lines, most), dtype=np.intp)
    after[0, :, :-1] = (there + (size - 1) * ~on)[:, 1:]
    after[1, :, :-1] = (there + (size - 1) * on)[:, :-1]
    real = np.zeros((2, lines, most), dtype=np.bool_)
    real[..., :-1] = found.turn[:, 1:] != 0
    real[0, found.folds :] = False  # the outside
    x, y = found.along.T
    up = np.repeat((y > 0) | ((y == 0) & (x > 0)), most)
    up = np.concatenate([up, ~up])
    # Around a cell, an edge that goes up follows one that does not just once.
    following = after.take(np.flatnonzero(real.ravel() & ~up))
    first = following[up[following]]
    return _rounds(after.ravel(), first, int(np.count_nonzero(real)))


def _rounds(after: Indices, first: Indices, count: int) -> tuple[Indices, Indices] | None:
    """Return what comes ``after`` each of ``first`` until it comes again, if that is ``count``."""
    cells = 3 * [np.arange(len(first))]
    edges = [first, second := after.take(first), after.take(second)]  # no cell has fewer than three
    left = count - 3 * len(first)
    cell, edge, home = cells[-1], edges[-1], first
    while len(cell) and left >= 0:
        edge = after.take(edge)
        on = np.flatnonzero(edge != home)
        cell, edge, home = cell.take(on), edge.take(on), home.take(on)
        cells.append(cell)
        edges.append(edge)
        left -= len(cell)
    if left != 0:
        return None
    cell = np.concatenate(cells)
    start = np.append(0, np.cumsum(np.bincount(cell)))
    step = np.repeat(np.arange(len(cells)), [len(part) for part in cells])
    around = np.empty(count, dtype=np.intp)
    around[start.take(cell) + step] = np.concatenate(edges)
    return around, start


def _on_cells(found: Arrangement, affine: Floats, gains: Floats, edges: Indices) -> Floats:
    """Return functions (k, m) to the left of edges, summed along the edges' lines.

    On a piece they are ``affine`` (k,) and the ``gains`` (k, n) of the lines that are active there.
    """
    maps = np.empty((len(affine), len(edges)))
    begin = affine[:, None] + gains @ (found.value > 0).T
    back = edges >= found.order.size
    piece = edges - found.order.size * back
    line = piece // found.order.shape[1]
    step = max(1, BLOCK // found.order.size)
    for some in (slice(k, k + step) for k in range(0, len(affine), step)):
        sums = found.sums(begin[some], gains[some].take(found.order, axis=1))
        maps[some] = sums.reshape(len(sums), -1).take(piece, axis=1)
        maps[some] += gains[some].take(line, axis=1) * back
    return maps


@cache
def _marks() -> Indices:
    """Return a random number for each fold: cells have the sums of those active in them."""
    return np.random.default_rng(0).integers(2**62, size=MOST + 4)
