"""The chambers of planes through the origin of R^3, each counted once, in O(p² log p).

In the affine plane g_0·u = 1 the other planes g_i·u = 0 are p - 1 lines; no chamber is cut by going
there, and the opposite chambers follow by symmetry. A cell of the lines that has a lowest point is
met once, where k lines cross and k - 1 cells begin above; the p cells without one are met at the
bottom ends of the lines. So prefix sums along each line give every chamber exactly once, and
nothing has to be compared with what was found before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats, Indices
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.labels import keys, random_marks

FEW = 40  # beyond, sorting along each line is faster
# Any vector will do that no figure was made to be in line with.
_SOMEWHERE = np.array([0.5402, -0.3117, 0.7817])
_BLOCK = 1 << 15  # crossings handled at once, so that temporaries stay in the cache


@dataclass(frozen=True)
class Lines:
    """The lines g_i·u = 0 in the plane g_0·u = 1, oriented upwards; g_i·u < 0 on their left.

    Attributes
    ----------
    first : int
        The generator g_0 whose plane is at infinity.
    others : int array, shape (n,)
        The generator of each line, n = p - 1, in the order of the lines' angles from level.
    turned : bool array, shape (n,)
        Whether the generator was replaced by its opposite to point its line upwards.
    unit : float array, shape (n, 3)
        The unit generators, turned.
    upward : float array, shape (n, 3)
        g_0 x g_i for unit vectors: the directions of the lines.
    """

    first: int
    others: Indices
    turned: NDArray[np.bool_]
    unit: Floats
    upward: Floats


@dataclass(frozen=True)
class Crossings:
    """What each of b lines meets, from its bottom to its top.

    Attributes
    ----------
    rows : int array, shape (b,)
        The lines.
    below : bool array, shape (b, n)
        Whether g_j·u > 0 at the bottom end of the line.
    order : int array, shape (b, n)
        The lines crossed; those parallel to this one come last.
    step : float array, shape (b, n)
        +1 where g_j·u becomes positive, which is where line j comes from the right and goes to the
        left; -1 where it becomes negative; 0 where there is no crossing.
    last : bool array, shape (b, n)
        Whether this is the last of the lines that cross at one point.
    clear : bool
        Whether no decision behind these arrays was near to falling the other way.
    """

    rows: Indices
    below: NDArray[np.bool_]
    order: Indices
    step: Floats
    last: NDArray[np.bool_]
    clear: bool


def lines(vectors: Floats) -> Lines:
    """Choose g_0, and sort and orient the lines of the other vectors."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    first = _least_parallel(unit)
    others = np.delete(np.arange(len(unit)), first)
    upward = cross(unit[first], unit[others])
    # "Up" lies in the middle of the widest gap between the lines' directions: then none of them is
    # near to level, where rounding could point parallel lines opposite ways.
    across = cross(unit[first], upward[0])
    angle = np.arctan2(upward @ across, upward @ upward[0])
    ordered = np.sort(angle % np.pi)
    gaps = np.diff(ordered, append=ordered[0] + np.pi)
    widest = int(np.argmax(gaps))
    above = (angle - ordered[widest] - gaps[widest] / 2) % (2 * np.pi)  # 0 is level
    order = np.argsort(above % np.pi)
    turned = above[order] >= np.pi
    others, sign = others[order], np.where(turned, -1.0, 1.0)[:, None]
    return Lines(first, others, turned, sign * unit[others], sign * upward[order])


def cross(one: Floats, two: Floats) -> Floats:
    """Return the cross products (..., 3) of vectors: as np.cross, at a third of its overhead."""
    after, before = [1, 2, 0], [2, 0, 1]
    product: Floats = one[..., after] * two[..., before] - one[..., before] * two[..., after]
    return product


def _least_parallel(unit: Floats) -> int:
    """Return the vector whose smallest angle to another, among the first hundred, is largest."""
    sample = unit[:100]
    cosine = np.abs(sample @ unit.T)
    np.fill_diagonal(cosine, 0)
    return int(np.argmin(cosine.max(axis=1)))


def crossings(found: Lines) -> Iterator[Crossings]:
    """Yield what the lines meet, some lines at a time."""
    count = len(found.unit)
    size = max(1, _BLOCK // count)
    length = np.linalg.norm(found.upward, axis=1)
    # Along line i, the plane of g_j is met at minus the ratio of its products with these two.
    inward = cross(found.unit, found.upward)
    for start in range(0, count, size):
        rows = np.arange(start, min(start + size, count))
        across = found.upward[rows] @ found.unit.T  # det(g_0, g_i, g_j), (b, n)
        along = inward[rows] @ found.unit.T
        size_across = np.abs(across)
        meets = size_across > TOLERANCE.flat
        clear = not _doubtful(size_across, 1.0)
        across[~meets] = 0
        below = np.where(meets, across < 0, along > 0)
        below[np.arange(len(rows)), rows] = False
        place = np.full_like(across, np.inf)
        np.divide(along, -across, out=place, where=meets)
        order = np.argsort(place, axis=1)
        flat = order + count * np.arange(len(rows))[:, None]
        across, place = across.take(flat), place.take(flat)
        # det(g_i, g_j, g_k) of neighbours j, k: 0 if their lines cross this one at one point.
        with np.errstate(invalid="ignore"):
            apart = np.diff(place, axis=1) * np.abs(across[:, 1:] * across[:, :-1])
        last = across != 0
        squares = length[rows, None] ** 2
        if (apart <= TOLERANCE.doubtful * squares).any():
            apart = np.where(last[:, 1:], apart, np.inf)
            last[:, :-1] &= apart > TOLERANCE.flat * squares
            clear = clear and not _doubtful(apart, squares)
        yield Crossings(rows, below, order, np.sign(across), last, clear)


def _doubtful(sizes: Floats, scale: Floats | float) -> bool:
    """Tell whether any size is neither clearly zero nor clearly not."""
    low, high = TOLERANCE.certain * scale, TOLERANCE.doubtful * scale
    return bool(((sizes > low) & (sizes < high)).any())


def solid(vectors: Floats, payload: Floats) -> Floats:
    """Return, for each chamber of planes in R^3, the sum of the payloads of the positive vectors.

    The vectors (p, 3) are not zero, no two are parallel, and they span R^3. There are p(p - 1) + 2
    chambers in general position; row k + n/2 is opposite to row k.
    """
    found = sums_by_pairs(vectors, payload)
    return sweep(vectors, payload) if found is None else found


def sweep(vectors: Floats, payload: Floats) -> Floats:
    """Return what ``solid`` does, by sorting along each line."""
    found = lines(vectors)
    oriented = np.where(found.turned[:, None], -1, 1) * payload[found.others]
    sums = _each_once(found, oriented)
    if sums is None:
        marks = random_marks(len(oriented))
        marked = _from_all_sides(found, np.hstack([oriented, marks]))
        sums = marked[np.unique(keys(marked[:, -2:]), return_index=True)[1], :-2]
    lowest = payload[found.others[found.turned]].sum(axis=0)
    result = np.empty((2 * len(sums), payload.shape[1]))
    np.add(sums, lowest + payload[found.first], out=result[: len(sums)])
    np.subtract(payload.sum(axis=0), result[: len(sums)], out=result[len(sums) :])
    return result


def _each_once(found: Lines, oriented: Floats) -> Floats | None:
    """Return the sums over the cells of the lines, or None where a crossing is in doubt."""
    # On the far right of all lines every oriented vector is positive.
    sums = [oriented.sum(axis=0)[:, None]]
    for met in crossings(found):
        if not met.clear:
            return None
        bottom, after = _along(met, oriented)
        sums += [bottom, after[:, _begins(met)]]
    return np.concatenate(sums, axis=1).T


def _from_all_sides(found: Lines, oriented: Floats) -> Floats:
    """Return the sums over the cells on both sides of every line, with many repeats.

    What one line meets is in some order whatever the others meet, so that no cell of any width is
    lost where decisions on different lines contradict one another.
    """
    sums = []
    for met in crossings(found):
        bottom, after = _along(met, oriented)
        kept = np.nonzero(met.last)
        line = np.concatenate([met.rows, met.rows[kept[0]]])
        left = np.hstack([bottom, after[:, kept[0], kept[1]]]).T
        sums += [left, left + oriented[line]]
    return np.concatenate(sums)


def _along(met: Crossings, oriented: Floats) -> tuple[Floats, Floats]:
    """Return the sums left of the lines at the bottom, (q, b), and above each crossing, (q, b, n).

    In columns, since numpy's loops over a short last axis are several times slower.
    """
    bottom = np.ascontiguousarray((met.below @ oriented).T)
    after = np.ascontiguousarray(oriented.T).take(met.order, axis=1)
    after *= met.step
    np.cumsum(after, axis=2, out=after)
    after += bottom[:, :, None]
    return bottom, after


def _begins(met: Crossings) -> NDArray[np.bool_]:
    """Tell the crossings (b, n) above which the cell on the left of this line begins.

    All of them, but for those at which no other line goes further to the left.
    """
    steeper = met.step > 0
    if (met.last == (met.step != 0)).all():
        return steeper
    count = np.cumsum(steeper, axis=1)
    before = np.maximum.accumulate(np.where(met.last, count, 0), axis=1)
    before = np.hstack([np.zeros((len(count), 1), dtype=count.dtype), before[:, :-1]])
    return met.last & (count > before)


def sums_by_pairs(vectors: Floats, payload: Floats) -> Floats | None:
    """Return what ``sweep`` does for few planes in general position, or None.

    Looking at all pairs of lines takes O(p³), but so few calls that it is faster than sorting for
    some dozens of generators.
    """
    if not 3 <= len(vectors) <= FEW:
        return None
    unit = vectors / np.sqrt(np.einsum("pd,pd->p", vectors, vectors))[:, None]
    first, others = unit[0], unit[1:]
    count = len(others)
    # Turned to one side, so that each points its line g_0 x g_i upwards.
    sign = np.copysign(1.0, others @ cross(_SOMEWHERE, first))[:, None]
    others = sign * others
    one, two = _pairs(count)
    normals = cross(others.take(one, axis=0), others.take(two, axis=0))
    ahead = normals @ first
    heights = normals @ others.T
    crossing = np.arange(len(one))
    heights[crossing, one] = heights[crossing, two] = np.inf
    if not min(np.abs(ahead).min(), np.abs(heights).min()) > TOLERANCE.doubtful:
        return None
    # Which vectors are positive: where two lines cross, in the cell between their upward rays; at
    # the bottom of each line, on its left; and to the right of all.
    upward = others @ cross(first, others).T
    positive = np.ones((len(one) + count + 1, count))
    np.greater(heights * ahead[:, None], 0, out=positive[: len(one)])
    positive[crossing, one] = upward[one, two] > 0
    positive[crossing, two] = upward[two, one] > 0
    np.less(upward.T, 0, out=positive[len(one) : -1])
    positive[len(one) + np.arange(count), np.arange(count)] = 0
    oriented = sign * payload[1:]
    half = positive @ oriented
    half += payload[0] + np.minimum(sign, 0).T @ oriented
    return np.concatenate([half, payload.sum(axis=0) - half])


@cache
def _pairs(count: int) -> tuple[Indices, Indices]:
    one, two = np.triu_indices(count, 1)
    return one, two
