"""Ties of a network of few neurons on a square, walked along from side to side.

Two classes tie where their lead g is zero. If bounds on its gradient show that g rises along one
axis all over the square, every part of that curve runs from a side to a side: there is no loop. So
its ends are found on the sides, and from each the curve is followed: in one linear region it is a
straight line, up to the first neuron that changes its sign there, which gives the next region.
Nothing is returned where anything is in doubt, as where two neurons change their signs at once.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import hypot, inf

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.regions.small import CENTRES, GRID, SmallNetwork
from localbook.tropical.regions.ties import Ties, where_ahead
from localbook.tropical.tolerance import TOLERANCE

MOST = 10_000
"""Steps after which a walk is given up."""

PARTS = 8
"""Each side is looked at in so many parts."""

_CORNERS = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
_SHARES = np.linspace(0, 1, PARTS + 1)[:, None]
_SIDES = np.stack([(1 - _SHARES) * p + _SHARES * q for p, q in pairwise(_CORNERS)])


class Walker:
    """A place in a small network's square, and what the network is in the linear region there.

    Attributes
    ----------
    maps : ndarray (K + r, 3 + K)
        Of the neurons, then of ``rows`` (r, 3 + K), which read what scores read: coefficients of 1
        and of the inputs there, then of what might be added to each neuron's ReLU.
    """

    def __init__(self, network: SmallNetwork, rows: Floats, point: Floats) -> None:
        self.network, (self.x, self.y) = network, point.tolist()
        active = network.at(point[None])[0][0] > 0
        self.maps = np.zeros((network.neurons + len(rows), 3 + network.neurons))
        for weight in (*network.weights[:-1], rows):
            start = weight.shape[1]
            on = np.flatnonzero(active[: start - 3])
            own = self.maps[start - 3 : start - 3 + len(weight), :start]
            np.matmul(weight[:, 3 + on], self.maps[on, :start], out=own)
            own += weight
        self.sign = [1.0 if on else -1.0 for on in active.tolist()]
        self.outputs = self.maps[network.neurons :, :3]
        self.crossed = -1
        self._lines, self._way = self.maps[: network.neurons, :3], np.zeros((3, 2))
        self._way[0, 1] = 1
        self._rate = np.zeros(network.neurons + 2)

    def step(self, dx: float, dy: float, most: float) -> float:
        """Go on up to ``most`` times (dx, dy), or to the next region if that is nearer.

        Returns how far that is; 0 if what comes first is not certain.
        """
        way = self._way
        way[1, 0], way[1, 1], way[2, 0], way[2, 1] = dx, self.x, dy, self.y
        fall, height = (self._lines @ way).T
        rate = self._rate  # of those that come to zero minus one by how soon, at the end two zeros
        if self.crossed < 0 and (height * self.sign).min(initial=1) <= 0:
            return 0.0
        np.divide(fall, height, out=rate[:-2])
        rate[self.crossed] = 0
        k = int(rate.argmin())
        first, rate[k] = float(rate[k]), 0
        second = float(np.minimum.reduce(rate))
        time = -1 / first if first else inf
        after = -1 / second if second else inf
        gone = min(time, most)
        if (
            not gone >= TOLERANCE.contact
            or abs(time - most) < TOLERANCE.contact
            or after - time < TOLERANCE.contact
        ):
            return 0.0
        self.x, self.y = self.x + gone * dx, self.y + gone * dy
        if time < most:
            self._cross(k)
        return gone

    def _cross(self, k: int) -> None:
        """Turn a neuron on or off: what comes after it gains or loses what it is."""
        start, stop = self.network.layer_of[k]
        self.crossed, change = k, -self.sign[k]
        self.sign[k] = change
        later = self.maps[stop:, : 3 + start]
        later += self.maps[stop:, 3 + k, None] * (change * self.maps[k, : 3 + start])


@np.errstate(divide="ignore", invalid="ignore")
def ties_by_walking(network: SmallNetwork) -> Ties | None:
    """Return all ties on [-1, 1]^2; None if some curve may be a loop, or in special positions."""
    together = _together(network)
    play = np.flatnonzero(together.any(axis=0))
    sides = network.at(_SIDES.reshape(-1, 2))[1].reshape(4, PARTS + 1, -1)
    parts, pairs = [np.empty((2, 2, 0))], []
    for i, j in np.argwhere(np.triu(together, 1)).tolist():
        lead = np.zeros((len(CENTRES), len(together)))
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
    scores = network.centres[1]
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
    rises = (np.sign(bounds[0]) == np.sign(bounds[1])) & (least > TOLERANCE.apart * size.max())
    if not rises.any() or np.abs(sides).min() <= TOLERANCE.apart * np.abs(sides).max():
        return None
    changes = (sides[:, :-1] > 0) != (sides[:, 1:] > 0)
    near = (
        np.abs(sides[:, :-1]) + np.abs(sides[:, 1:])
        <= (1 + TOLERANCE.apart) * 2 / PARTS * np.tile(size, 2)[:, None]
    )
    found = []
    row, once = lead[None] @ network.weights[-1], np.tile(rises, 2)
    for side, part in np.argwhere(changes | (near & ~once[:, None])).tolist():
        p, q = _SIDES[side, part : part + 2]
        values = sides[side, part : part + 2].tolist() if once[side] else None
        ends = _zeros(network, row, p, q, values)
        if ends is None:
            return None
        found += ends
    return found


def _zeros(
    network: SmallNetwork, row: Floats, p: Floats, q: Floats, values: list[float] | None
) -> list[Floats] | None:
    """Return where a lead is zero between p and q, walking from one to the other.

    If its ``values`` at p and q are given there is just one, and the walk begins near it.
    """
    start = p
    if values:
        start = p + max(values[0] / (values[0] - values[1]) - 1 / 16, 0) * (q - p)
    walker = Walker(network, row, start)
    if values and (walker.outputs[0] @ [1, *start] > 0) == (values[1] > 0):
        q = p
    length = float(np.abs(q - start).max())
    (dx, dy), gone, found = ((q - start) / length).tolist(), 0.0, []
    for _ in range(MOST):
        x, y = walker.x, walker.y
        c, a, b = walker.outputs[0].tolist()
        way = walker.step(dx, dy, length - gone)
        before, after = a * x + b * y + c, a * walker.x + b * walker.y + c
        if way <= 0 or before == 0 or after == 0:
            return None
        if (before > 0) != (after > 0):
            t = before / (before - after)
            found.append(np.array([x + t * (walker.x - x), y + t * (walker.y - y)]))
        gone += way
        if gone >= length or (values and found):
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
        last = _follow(Walker(network, rows, left.pop()), corners, scores)
        away = [np.abs(end - last).max() for end in left] if last else []
        if not away or min(away) > TOLERANCE.apart:
            return None
        del left[int(np.argmin(away))]
    found = np.array(corners).reshape(-1, 2, 2).transpose(2, 1, 0)
    maps = np.empty((4, len(order), len(scores)))
    maps[[2, 0, 1]] = np.array(scores).reshape(-1, len(order), 3).transpose(2, 1, 0)
    maps[3] = size[:, None]
    start, stop = where_ahead(found, maps, 0, list(range(2, len(order))))
    run = found[:, 1] - found[:, 0]
    found = np.stack([found[:, 0] + start * run, found[:, 0] + stop * run], axis=1)
    long = (stop > start) & (np.hypot(*(found[:, 1] - found[:, 0])) > TOLERANCE.contact)
    return found[..., long]


def _follow(
    walker: Walker, corners: list[tuple[float, float, float, float]], scores: list[Floats]
) -> tuple[float, float] | None:
    """Follow the tie of the first two scores from a point on a side to where it leaves the square.

    Adds both ends of its segments to ``corners``, and the scores there to ``scores``.
    """
    for _ in range(MOST):
        here = walker.outputs.copy()
        c, a, b = (here[0] - here[1]).tolist()
        norm = hypot(a, b)
        if norm == 0:
            return None
        a, b, c = a / norm, b / norm, c / norm
        x, y = walker.x, walker.y
        off = a * x + b * y + c  # rounding alone
        x, y, dx, dy = x - off * a, y - off * b, -b, a
        if walker.crossed >= 0:
            s, t = walker.maps[walker.crossed, 1:3].tolist()
            inward = walker.sign[walker.crossed] * (s * dx + t * dy) / hypot(s, t)
        else:
            inward = -x * dx if abs(x) > abs(y) else -y * dy
        if abs(inward) < TOLERANCE.apart:
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
