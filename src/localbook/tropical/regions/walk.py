"""Ties of a network of few neurons on a square, walked along from side to side.

Two classes tie where their lead g is zero. If bounds on its gradient show that g rises along one
axis all over the square, every part of that curve runs from a side to a side: there is no loop. So
its ends are found on the sides, and from each the curve is followed: in one linear region it is a
straight line, up to the first neuron that changes its sign there, which gives the next region.
Nothing is returned where anything is in doubt, as where two neurons change their signs at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import hypot, inf

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.regions.cells import Layer
from localbook.tropical.regions.ties import Ties, where_ahead
from localbook.tropical.tolerance import TOLERANCE

APART = 1e-9
"""Parts of half a side below which places, and shares below which slopes, are taken for one."""

MOST = 10_000
"""Steps after which a walk is given up."""

PARTS = 8
"""Each side is looked at in so many parts."""

_CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
_SHARES = np.linspace(0, 1, PARTS + 1)[:, None]
_SIDES = np.stack([(1 - _SHARES) * p + _SHARES * q for p, q in pairwise(_CORNERS)])

GRID = 6
"""In so many parts each way bounds on gradients are looked for."""

_CENTRES = np.stack(np.meshgrid(*2 * [np.arange(1 - GRID, GRID, 2) / GRID]), axis=-1).reshape(-1, 2)


Shares = tuple[Floats, Floats]
"""Bounds (n, K) on how active neurons are: 0 or 1."""


@dataclass(frozen=True)
class SmallNetwork:
    """A ReLU network of two inputs whose layers all read 1, the inputs and every ReLU before them.

    Attributes
    ----------
    weights : tuple of ndarray (n, 3 + neurons before)
        Of each hidden layer, then of the scores; a hidden layer may have no neuron.
    sizes : tuple of ndarray (n,)
        How large the terms were that the first column comes from.
    """

    weights: tuple[Floats, ...]
    sizes: tuple[Floats, ...]

    @property
    def neurons(self) -> int:
        """The number of hidden neurons K."""
        return int(self.weights[-1].shape[1]) - 3

    def layers(self) -> list[Layer]:
        """Return it as layers of which each passes on what it reads, besides its own neurons."""
        found, slopes = [], np.ones(2)
        for weight, size in zip(self.weights[:-1], self.sizes[:-1], strict=True):
            kept = weight.shape[1] - 1
            offset = np.hstack([np.zeros((2, kept)), [weight[:, 0], size]])
            found.append(Layer(np.vstack([np.eye(kept), weight[:, 1:]]), offset, slopes))
            slopes = np.append(np.ones(kept), np.zeros(len(weight)))
        last, size = self.weights[-1], self.sizes[-1]
        return [*found, Layer(last[:, 1:], np.stack([last[:, 0], size]), slopes)]

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the pre-activations (n, K) and the scores (n, classes) at points (n, 2)."""
        read = np.ones((len(points), 3 + self.neurons))
        read[:, 1:3] = points
        values = np.empty((len(points), self.neurons))
        for weight in self.weights[:-1]:
            start, stop = weight.shape[1], weight.shape[1] + len(weight)
            values[:, start - 3 : stop - 3] = read[:, :start] @ weight.T
            np.maximum(values[:, start - 3 : stop - 3], 0, out=read[:, start:stop])
        return values, read @ self.weights[-1].T

    def slopes(self, leads: Floats, shares: Shares | None = None) -> tuple[Floats, Floats]:
        """Return bounds (p, 2) on the gradients of ``leads`` (p, classes).

        Of row i where neurons are as active as row i of ``shares`` says; anywhere, if not given.
        """
        least, most = shares or (np.zeros((1, self.neurons)), np.ones((1, self.neurons)))
        low = leads @ self.weights[-1]
        high = low.copy()
        for weight, up, down in self._signs[::-1]:
            start, stop = weight.shape[1], weight.shape[1] + len(weight)
            own = slice(start - 3, stop - 3)
            passed = _passed(low[:, start:stop], high[:, start:stop], least[:, own], most[:, own])
            low[:, :start] += passed[0] @ up + passed[1] @ down
            high[:, :start] += passed[1] @ up + passed[0] @ down
        return low[:, 1:3], high[:, 1:3]

    @cached_property
    def shares(self) -> Shares:
        """How active neurons are at least and at most, 0 or 1, in each part of the square."""
        values, _ = self.at(_CENTRES)
        parts = len(values)
        least, most = np.zeros(values.shape), np.ones(values.shape)
        low = np.zeros((3 + self.neurons, 2 * parts))  # slopes along x in all parts, then along y
        low[1, :parts] = low[2, parts:] = 1
        high = low.copy()
        for weight, up, down in self._signs:
            start, stop = weight.shape[1], weight.shape[1] + len(weight)
            own = slice(start - 3, stop - 3)
            falls = up @ low[:start] + down @ high[:start]
            rises = up @ high[:start] + down @ low[:start]
            largest = np.maximum(np.abs(falls), np.abs(rises))
            reach = (1 + APART) / GRID * (largest[:, :parts] + largest[:, parts:]).T
            least[:, own] = values[:, own] > reach
            most[:, own] = values[:, own] >= -reach
            shares = (np.tile(share[:, own].T, 2) for share in (least, most))
            low[start:stop], high[start:stop] = _passed(falls, rises, *shares)
        return least, most

    @cached_property
    def _signs(self) -> list[tuple[Floats, Floats, Floats]]:
        return [(w, np.maximum(w, 0), np.minimum(w, 0)) for w in self.weights[:-1]]


def _passed(low: Floats, high: Floats, least: Floats, most: Floats) -> tuple[Floats, Floats]:
    """Return bounds on what is between low and high, times what is between least and most."""
    return np.minimum(low * least, low * most), np.maximum(high * least, high * most)


class Walker:
    """A place in a small network's square, and what the network is in the linear region there.

    Attributes
    ----------
    terms : ndarray (3 + K, 3)
        What the scores read there, as affine functions: coefficients of x, y and 1.
    """

    def __init__(self, network: SmallNetwork, point: Floats) -> None:
        self.network, self.x, self.y = network, float(point[0]), float(point[1])
        self.terms = np.zeros((3 + network.neurons, 3))
        self.terms[[0, 1, 2], [2, 0, 1]] = 1
        self.active = (network.at(point[None])[0][0] > 0).astype(np.float64)
        self.sign = 2 * self.active - 1
        self.lines = np.zeros((network.neurons, 3))
        self.crossed = -1
        self._update(0)

    def _update(self, first: int) -> None:
        """Follow what neurons from number ``first`` on are there."""
        for weight in self.network.weights[:-1]:
            start, stop = weight.shape[1], weight.shape[1] + len(weight)
            if stop - 3 > first:
                own = slice(start - 3, stop - 3)
                np.matmul(weight, self.terms[:start], out=self.lines[own])
                np.multiply(self.lines[own], self.active[own, None], out=self.terms[start:stop])

    def step(self, dx: float, dy: float, most: float) -> float:
        """Go on up to ``most`` times (dx, dy), or to the next region if that is nearer.

        Returns how far that is; 0 if what comes first is not certain.
        """
        value = self.lines @ np.array([[dx, self.x], [dy, self.y], [0, 1]])
        value *= self.sign[:, None]
        if self.crossed >= 0:
            value[self.crossed] = 1
        falling = np.flatnonzero(value[:, 0] < 0)
        times = value[falling, 1] / -value[falling, 0]
        time, after, k = inf, inf, -1
        if len(times):
            nearest = int(times.argmin())
            time, k = float(times[nearest]), int(falling[nearest])
            times[nearest] = inf
            after = float(times.min())
        way = min(time, most)
        if way <= 0 or abs(time - most) < TOLERANCE.contact or after - time < TOLERANCE.contact:
            return 0.0
        self.x, self.y = self.x + way * dx, self.y + way * dy
        if time < most:
            self.active[k] = 1 - self.active[k]
            self.sign[k] = -self.sign[k]
            self.crossed = k
            self._update(k)
        return way


def ties_by_walking(network: SmallNetwork) -> Ties | None:
    """Return all ties on [-1, 1]^2; None if some curve may be a loop, or in special positions."""
    together = _together(network)
    play = np.flatnonzero(together.any(axis=0))
    sides = network.at(_SIDES.reshape(-1, 2))[1].reshape(4, PARTS + 1, -1)
    parts, pairs = [np.empty((2, 2, 0))], []
    for i, j in np.argwhere(np.triu(together, 1)).tolist():
        lead = np.zeros((len(_CENTRES), len(together)))
        lead[:, [i, j]] = 1, -1
        low, high = network.slopes(lead, network.shares)
        bounds = np.stack([low.min(axis=0), high.max(axis=0)])
        ends = _ends(network, lead[0], bounds, sides[..., i] - sides[..., j])
        order = [i, j, *(int(k) for k in play if k not in (i, j))]
        found = None if ends is None else _between_ends(network, order, ends)
        if found is None:
            return None
        parts.append(found)
        pairs += [(i, j)] * found.shape[-1]
    classes = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return Ties(np.concatenate(parts, axis=-1), classes, [], classes[:0])


def _together(network: SmallNetwork) -> Floats:
    """Return in how many parts of the square both of two classes may be ahead (c, c)."""
    scores = network.at(_CENTRES)[1]
    tops, which = np.unique(scores.argmax(axis=1), return_inverse=True)
    every = np.eye(scores.shape[1])
    leads = (every[tops, None] - every).reshape(-1, len(every))
    reach = (
        np.maximum(*map(np.abs, network.slopes(leads))).sum(axis=1).reshape(len(tops), -1) / GRID
    )
    slack = TOLERANCE.rounding * (network.sizes[-1] + network.sizes[-1][tops, None])
    near = scores.max(axis=1)[:, None] - scores <= (reach + slack)[which]
    several = near & (np.count_nonzero(near, axis=1) > 1)[:, None]
    together: Floats = several.T.astype(np.float64) @ several
    return together


def _ends(
    network: SmallNetwork, lead: Floats, bounds: Floats, sides: Floats
) -> list[Floats] | None:
    """Return where a lead, known at ``sides`` (4, n), is zero on the sides.

    None if its gradient's ``bounds`` (2, 2) do not tell that it rises or falls along one axis.
    """
    size, least = np.abs(bounds).max(axis=0), np.abs(bounds).min(axis=0)
    rises = (np.sign(bounds[0]) == np.sign(bounds[1])) & (least > APART * size.max())
    if not rises.any() or np.abs(sides).min() <= APART * np.abs(sides).max():
        return None
    changes = (sides[:, :-1] > 0) != (sides[:, 1:] > 0)
    near = (
        np.abs(sides[:, :-1]) + np.abs(sides[:, 1:])
        <= (1 + APART) * 2 / PARTS * np.tile(size, 2)[:, None]
    )
    found = []
    for side, part in np.argwhere(changes | (near & ~np.tile(rises, 2)[:, None])).tolist():
        ends = _zeros(network, lead, _SIDES[side, part], _SIDES[side, part + 1])
        if ends is None:
            return None
        found += ends
    return found


def _zeros(network: SmallNetwork, lead: Floats, p: Floats, q: Floats) -> list[Floats] | None:
    """Return where a lead is zero between p and q, walking from one to the other."""
    walker, row = Walker(network, p), lead @ network.weights[-1]
    length = float(np.abs(q - p).max())
    (dx, dy), gone, found = ((q - p) / length).tolist(), 0.0, []
    for _ in range(MOST):
        x, y = walker.x, walker.y
        a, b, c = (row @ walker.terms).tolist()
        way = walker.step(dx, dy, length - gone)
        before, after = a * x + b * y + c, a * walker.x + b * walker.y + c
        if way <= 0 or before == 0 or after == 0:
            return None
        if (before > 0) != (after > 0):
            t = before / (before - after)
            found.append(np.array([x + t * (walker.x - x), y + t * (walker.y - y)]))
        gone += way
        if gone >= length:
            return found
    return None


def _between_ends(network: SmallNetwork, order: Sequence[int], ends: list[Floats]) -> Floats | None:
    """Return where the first two classes of ``order`` tie for the top (2 coordinates, 2 ends, m).

    Every curve of equal scores must come out at another of its ``ends`` on the sides.
    """
    rows, size = network.weights[-1][order], network.sizes[-1][order]
    corners: list[tuple[float, float, float, float]] = []
    scores: list[Floats] = []
    left = list(ends)
    while left:
        last = _follow(Walker(network, left.pop()), rows, corners, scores)
        away = [np.abs(end - last).max() for end in left] if last else []
        if not away or min(away) > APART:
            return None
        del left[int(np.argmin(away))]
    found = np.array(corners).reshape(-1, 2, 2).transpose(2, 1, 0)
    maps = np.empty((4, len(order), len(scores)))
    maps[:3] = np.array(scores).reshape(-1, len(order), 3).transpose(2, 1, 0)
    maps[3] = size[:, None]
    start, stop = where_ahead(found, maps, 0, list(range(2, len(order))))
    run = found[:, 1] - found[:, 0]
    found = np.stack([found[:, 0] + start * run, found[:, 0] + stop * run], axis=1)
    long = (stop > start) & (np.hypot(*(found[:, 1] - found[:, 0])) > TOLERANCE.contact)
    return found[..., long]


def _follow(
    walker: Walker,
    rows: Floats,
    corners: list[tuple[float, float, float, float]],
    scores: list[Floats],
) -> tuple[float, float] | None:
    """Follow the tie of the first two scores from a point on a side to where it leaves the square.

    Adds both ends of its segments to ``corners``, and the scores there to ``scores``.
    """
    for _ in range(MOST):
        here = rows @ walker.terms
        a, b, c = (here[0] - here[1]).tolist()
        norm = hypot(a, b)
        if norm == 0:
            return None
        a, b, c = a / norm, b / norm, c / norm
        x, y = walker.x, walker.y
        off = a * x + b * y + c  # rounding alone
        x, y, dx, dy = x - off * a, y - off * b, -b, a
        if walker.crossed >= 0:
            s, t, _ = (walker.lines[walker.crossed] * walker.sign[walker.crossed]).tolist()
            inward = (s * dx + t * dy) / hypot(s, t)
        else:
            inward = -x * dx if abs(x) > abs(y) else -y * dy
        if abs(inward) < APART:
            return None
        if inward < 0:
            dx, dy = -dx, -dy
        walker.x, walker.y = x, y
        across = (1 - x if dx > 0 else 1 + x) / abs(dx) if dx else inf
        up = (1 - y if dy > 0 else 1 + y) / abs(dy) if dy else inf
        way = walker.step(dx, dy, min(across, up))
        if way <= 0:
            return None
        corners.append((x, y, walker.x, walker.y))
        scores.append(here)
        if way == min(across, up):
            return walker.x, walker.y
    return None
