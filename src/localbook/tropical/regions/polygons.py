"""Many convex polygons packed in flat arrays, all cut at once.

Points are stored as (2, points): numpy is fastest when the long axis is the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from localbook.arrays import Floats, Indices, Masks


@dataclass(frozen=True)
class Polygons:
    """Convex polygons, corners counter-clockwise.

    Attributes
    ----------
    corners : ndarray (2, n)
        The corners of the first polygon, then those of the second, and so on.
    start : ndarray (m + 1,)
        Polygon i has the corners ``start[i]`` to ``start[i + 1]``.
    """

    corners: Floats
    start: Indices

    def __len__(self) -> int:
        return len(self.start) - 1

    @cached_property
    def sizes(self) -> Indices:
        """Number of corners of each polygon (m,)."""
        return np.diff(self.start)

    @cached_property
    def owner(self) -> Indices:
        """The polygon of each corner (n,)."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @cached_property
    def following(self) -> Indices:
        """The corner that follows each corner in its polygon (n,)."""
        after = np.arange(1, self.corners.shape[1] + 1)
        after[self.start[1:] - 1] = self.start[:-1]
        return after

    @cached_property
    def centres(self) -> Floats:
        """The mean of each polygon's corners (2, m): a point inside."""
        if not len(self):
            return np.empty((2, 0))
        return np.add.reduceat(self.corners, self.start[:-1], axis=1) / self.sizes

    def select(self, chosen: Masks) -> "Polygons":
        """Return the polygons where ``chosen`` (m,) is true, in order."""
        sizes = self.sizes[chosen]
        return Polygons(self.corners[:, chosen[self.owner]], _starts(sizes))

    def take(self, index: Indices) -> "Polygons":
        """Return the polygons with the numbers ``index`` (k,), which may repeat."""
        sizes = self.sizes[index]
        start = _starts(sizes)
        corner = np.arange(start[-1]) + np.repeat(self.start[index] - start[:-1], sizes)
        return Polygons(self.corners[:, corner], start)

    def separate(self) -> list[Floats]:
        """Return the corners (2, k) of each polygon."""
        return np.split(self.corners, self.start[1:-1], axis=1) if len(self) else []

    def values(self, maps: Floats) -> Floats:
        """Return affine functions, coefficients of x, y, 1 in ``maps``, at all corners (..., n)."""
        x, y = self.corners
        out = np.take(maps[0], self.owner, axis=-1)
        out *= x
        slope = np.take(maps[1], self.owner, axis=-1)
        slope *= y
        out += slope
        out += np.take(maps[2], self.owner, axis=-1)
        return out

    def split(self, value: Floats) -> tuple["Polygons", "Polygons"]:
        """Cut each polygon along the zero line of an affine function, given at the corners (n,).

        Returns the parts where it is >= 0, and those where it is <= 0. Parts are without corners
        where it has the other sign, or is 0 (second part only), at all corners.
        """
        on, off = value > 0, value < 0
        some_on, some_off = (np.logical_or.reduceat(part, self.start[:-1]) for part in (on, off))
        other = value[self.following]
        cut = np.flatnonzero(on & (other < 0) | off & (other > 0))
        new = between(self.corners, cut, self.following[cut], value)
        return (
            self._side(~off & (some_on | ~some_off)[self.owner], cut, new),
            self._side(~on & some_off[self.owner], cut, new),
        )

    def _side(self, kept: Masks, cut: Indices, new: Floats) -> "Polygons":
        room = kept.astype(np.intp)
        room[cut] += 1
        place = np.cumsum(room) - room
        corners = np.empty((2, int(room.sum())))
        corners[:, place[kept]] = self.corners[:, kept]
        corners[:, place[cut] + kept[cut]] = new
        return Polygons(corners, _starts(np.add.reduceat(room, self.start[:-1])))

    def chords(self, value: Floats) -> tuple[Floats, Floats]:
        """Return both ends (2, k, m) of the zero lines of functions (k, n) in each polygon.

        Meaningless where a function is not positive at some corner and not positive at another.
        """
        positive = value > 0
        after = positive[:, self.following]
        numbers = np.arange(1, value.shape[1] + 1)
        ends = []
        for crossing in (positive & ~after, ~positive & after):
            # The largest marked corner: there is one, and rounding cannot make it none.
            edge = np.maximum.reduceat(np.where(crossing, numbers, 0), self.start[:-1], axis=1) - 1
            row = np.arange(len(value))[:, None]
            here, there = value[row, edge], value[row, self.following[edge]]
            gap = here - there
            t = np.divide(here, gap, out=np.zeros_like(gap), where=gap != 0)
            p, q = self.corners[:, edge], self.corners[:, self.following[edge]]
            ends.append(p + t * (q - p))
        return ends[0], ends[1]


def between(points: Floats, p: Indices, q: Indices, value: Floats) -> Floats:
    """Return the zeros (2, k) of an affine function on the segments from points p to q."""
    t = value[p] / (value[p] - value[q])
    first = points[:, p]
    return first + t * (points[:, q] - first)


def join(parts: Sequence[Polygons]) -> Polygons:
    """Return the polygons of all parts, in order."""
    sizes = np.concatenate([part.sizes for part in parts])
    return Polygons(np.concatenate([part.corners for part in parts], axis=1), _starts(sizes))


def _starts(sizes: Indices) -> Indices:
    start = np.zeros(len(sizes) + 1, dtype=np.intp)
    np.cumsum(sizes, out=start[1:])
    return start
