"""Ties of a wide network: tiles, quartered until bounds settle them or few neurons fold.

On a small tile the few neurons that change sign there are all that is left of the network.

Each tile has bounds on all pre-activations, from a pass forwards: a neuron with values in [l, u],
l < 0 < u, obeys c z <= relu(z) <= c (z - l), c = u / (u - l), and one of slope s below zero makes
s z + (1 - s) relu(z) of z. A pass back from the scores then
bounds the lead of one class over another: seen from there each neuron's sign in the lead is known,
and what cancels between neurons cancels in the bound too. After Zhang et al., "Efficient Neural
Network Robustness Certification with General Activation Functions" (CROWN, arXiv 1811.00866).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.networks import ReLUNetwork, backward, columns, product, transposed
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.walk import SmallNetwork, ties_by_walking
from localbook.tropical.tolerance import TOLERANCE

AT_ONCE = 32
"""Tiles that are bounded together: few enough for their bounds to stay small in memory."""

FOLDS = 220
"""Ties are looked for on tiles in which no more neurons than this can change sign."""

CUT = 80
"""Where no more than this can, and ties cannot be walked along, the tile is cut into cells."""

DEEPEST = 24
"""Tiles are halved this often at most, each way in turn: rounding then decides."""


@dataclass(frozen=True)
class Tiles:
    """Boxes centre +- half in the plane, both (2, m)."""

    centre: Floats
    half: Floats

    def __len__(self) -> int:
        return len(self.centre[0])

    def select(self, chosen: Masks | Indices | slice) -> "Tiles":
        """Return the tiles where ``chosen`` (m,) is true."""
        return Tiles(self.centre[:, chosen], self.half[:, chosen])

    def place(self, points: Floats) -> Floats:
        """Return points of the square (2, ...) as points of the only tile."""
        shape = (2,) + (1,) * (points.ndim - 1)
        return self.centre.reshape(shape) + self.half.reshape(shape) * points

    def quarters(self) -> "Tiles":
        """Return the four quarters of each tile."""
        half = self.half / 2
        signs = [(i, j) for i in (-1, 1) for j in (-1, 1)]
        centres = [self.centre + half * np.array(sign)[:, None] for sign in signs]
        return Tiles(np.concatenate(centres, axis=1), np.tile(half, 4))


@dataclass(frozen=True)
class Ranges:
    """What the neurons of one layer do on each tile.

    Attributes
    ----------
    low, high : ndarray (width, m)
        Between which values they lie; from 0 on for those that only pass a value on.
    size : ndarray (width, m)
        How large the terms are that were added up for them.
    """

    low: Floats
    high: Floats
    size: Floats

    @property
    def folding(self) -> Masks:
        """Which neurons can change sign (width, m), by more than rounding."""
        return ~self.active & (self.high > self._slack)

    @property
    def active(self) -> Masks:
        """Which neurons are above zero, or zero, all over (width, m)."""
        return self.low >= -self._slack

    @property
    def _slack(self) -> Floats:
        return 2 * TOLERANCE.rounding * self.size

    def on(self, tile: Indices) -> "Ranges":
        """Return the ranges on some tiles."""
        return Ranges(self.low[:, tile], self.high[:, tile], self.size[:, tile])

    def largest(self, slopes: Floats) -> Floats:
        """Return how large neurons of these slopes can get, whatever their sign."""
        below: Floats = np.abs(slopes) * -np.minimum(self.low, 0)
        return np.maximum(np.maximum(self.high, 0), below)


@dataclass(frozen=True)
class Pairs:
    """Two classes each, ``top`` and ``rival`` (p,), that are compared on a ``tile`` (p,)."""

    tile: Indices
    top: Indices
    rival: Indices


def ties_by_tiles(network: ReLUNetwork) -> Ties:
    """Return all ties of a network of two inputs on [-1, 1]^2.

    Bounds find the tiles that can have ties; on each the network equals one of few neurons, whose
    ties are exact.
    """
    none = np.empty((0, 2), dtype=np.intp)
    parts = [Ties(np.empty((2, 2, 0)), none, [], none)]
    parts += [_placed(found, tile) for tile, found in ties_of_tiles(network)]
    return Ties(
        np.concatenate([part.ends for part in parts], axis=-1),
        np.concatenate([part.classes for part in parts]),
        [area for part in parts for area in part.areas],
        np.concatenate([part.area_classes for part in parts]),
    )


def _placed(found: Ties, tile: Tiles) -> Ties:
    """Return a tile's ties as ties of the square, without those of its upper and right side.

    What lies on such a side is reported by the neighbour that starts there; at the square's own
    sides there is none.
    """
    inner = (tile.centre + tile.half)[:, 0] < 1
    on_side = (found.ends > 1 - TOLERANCE.contact).all(axis=1)  # (2 sides, m)
    own = ~(on_side & inner[:, None]).any(axis=0)
    return replace(
        found,
        ends=tile.place(found.ends[..., own]),
        classes=found.classes[own],
        areas=[tile.place(area) for area in found.areas],
    )


def ties_of_tiles(network: ReLUNetwork) -> Iterator[tuple[Tiles, Ties]]:
    """Yield tiles that cover all ties in [-1, 1]^2, and the ties on each as on [-1, 1]^2."""
    waiting = [Tiles(np.zeros((2, 1)), np.ones((2, 1)))]
    while waiting:
        tiles = waiting.pop()
        if len(tiles) > AT_ONCE:
            waiting.append(tiles.select(slice(AT_ONCE, None)))
            tiles = tiles.select(slice(AT_ONCE))
        ranges, undecided = bounds(network, tiles)
        deepest = tiles.half.min(axis=0) < 2.0**-DEEPEST
        small = sum(np.count_nonzero(part.folding, axis=0) for part in ranges[:-1]) <= FOLDS
        few = np.flatnonzero(undecided & (small | deepest))
        nets = small_networks(network, tiles.select(few), [part.on(few) for part in ranges])
        for i, net in zip(few.tolist(), nets, strict=True):
            found = ties_by_walking(net)
            if found is None and (deepest[i] or net.neurons <= CUT):
                found = ties_on_square(net.layers())
            if found is not None:
                undecided[i] = False
                yield tiles.select(slice(i, i + 1)), found
        if undecided.any():
            waiting.append(tiles.select(undecided).quarters())


def bounds(network: ReLUNetwork, tiles: Tiles) -> tuple[list[Ranges], Masks]:
    """Return all layers' ranges, and on which tiles (m,) two classes can tie for the top."""
    ranges, centre, slopes, doubt, rounding = _forwards(network, tiles)
    top, every = centre.argmax(axis=0), np.arange(len(tiles))
    lead = centre[top, every] - centre
    lead -= sum(np.abs(a[top, every] - a) * h for a, h in zip(slopes, tiles.half, strict=True))
    slack = rounding + rounding[top, every]
    close = lead <= doubt + doubt[top, every] + slack
    close[top, every] = False
    # The slopes used going back are at most twice those used going forward, in every layer.
    slack *= 2 ** len(network.weights)
    undecided = np.zeros(len(tiles), np.bool_)
    # One class that can tie is enough: the nearest is asked first, then where it cannot the others.
    tile = np.flatnonzero(close.any(axis=0))
    rival = np.where(close, centre, -np.inf).argmax(axis=0)[tile]
    for _ in range(2):
        least = _backwards(network, tiles, ranges, Pairs(tile, top[tile], rival))
        undecided[tile[least <= slack[rival, tile]]] = True
        close[rival, tile] = False
        tile, rival = np.nonzero((close & ~undecided).T)
    return ranges, undecided


def _forwards(
    network: ReLUNetwork, tiles: Tiles
) -> tuple[list[Ranges], Floats, tuple[Floats, Floats], Floats, Floats]:
    """Return ranges, and the scores: at the centres, both slopes, their doubt and rounding."""
    first, bias = np.asarray(network.weights[0]), network.biases[0][:, None]
    value = first @ tiles.centre + bias
    tilt = [np.repeat(column[:, None], len(tiles), axis=1) for column in first.T]
    doubt = np.zeros_like(value)
    size = np.abs(first) @ (np.abs(tiles.centre) + tiles.half) + np.abs(bias)
    ranges = []
    for weight, magnitude, bias, slopes in zip(
        network.weights[1:], network.magnitudes[1:], network.biases[1:], network.slopes,
        strict=True,
    ):  # fmt: skip
        ranges.append(_ranges(value, tilt, doubt, size, tiles))
        below = slopes[:, None]
        largest = ranges[-1].largest(below)
        ranges[-1].low[slopes == 1] = 0
        chord, middle = _chord(ranges[-1])
        middle *= (below - 1) / 2  # halfway between the chord and its parallel through 0
        share, off = below + (1 - below) * chord, np.abs(middle)
        inside = [share * value + middle, share * tilt[0], share * tilt[1]]
        value, *tilt = np.split(product(weight, np.hstack(inside)), 3, axis=1)
        value += bias[:, None]
        doubts = [np.abs(share) * doubt + off, largest]
        doubt, size = np.split(product(magnitude, np.hstack(doubts)), 2, axis=1)
        size += np.abs(bias)[:, None]
    ranges.append(_ranges(value, tilt, doubt, size, tiles))
    return ranges, value, (tilt[0], tilt[1]), doubt, TOLERANCE.rounding * size


def _ranges(value: Floats, tilt: list[Floats], doubt: Floats, size: Floats, tiles: Tiles) -> Ranges:
    extent = doubt + TOLERANCE.rounding * size
    extent += np.abs(tilt[0]) * tiles.half[0] + np.abs(tilt[1]) * tiles.half[1]
    return Ranges(value - extent, value + extent, size)


def _chord(ranges: Ranges) -> tuple[Floats, Floats]:
    """Return c and c l, of the chord c (z - l) above relu(z)."""
    low, high = np.minimum(ranges.low, 0), np.maximum(ranges.high, 0)
    chord = np.divide(high, high - low, out=np.zeros_like(high), where=high > 0)
    return chord, chord * low


def _backwards(
    network: ReLUNetwork, tiles: Tiles, ranges: Sequence[Ranges], pairs: Pairs
) -> Floats:
    """Return lower bounds (p,) of the lead of ``top`` over ``rival`` on their tiles."""
    last, bias = np.asarray(network.weights[-1]), network.biases[-1]
    rows = (last[pairs.top] - last[pairs.rival]).T  # (width, p)
    constant = bias[pairs.top] - bias[pairs.rival]
    for weight, bias, slopes, found in zip(
        network.weights[-2::-1], network.biases[-2::-1], network.slopes[::-1], ranges[-2::-1],
        strict=True,
    ):  # fmt: skip
        below = slopes[:, None]
        chord, drop = _chord(found)
        active = (found.high > -np.minimum(found.low, 0)).astype(np.float64)
        bent = rows * (1 - below) if below.any() else rows
        gains, losses = np.maximum(bent, 0), np.minimum(bent, 0)
        constant -= np.einsum("kp,kp->p", losses, drop[:, pairs.tile])
        gains *= active[:, pairs.tile]
        losses *= chord[:, pairs.tile]
        gains += losses
        rows = rows * below + gains if below.any() else gains
        constant += bias @ rows
        rows = backward(weight, rows)
    centre, half = tiles.centre[:, pairs.tile], tiles.half[:, pairs.tile]
    least: Floats = constant + np.sum(rows * centre - np.abs(rows) * half, axis=0)
    return least


def small_networks(
    network: ReLUNetwork, tiles: Tiles, ranges: Sequence[Ranges]
) -> list[SmallNetwork]:
    """Return, for each tile, the network u -> network(centre + half u) with few neurons.

    Neurons that keep their sign all over a tile are affine there and fold into the weights; those
    that can change it stay. A pass forwards gives what the others make of u, and a pass back from
    the scores and from the neurons that stay what all of these read of earlier ones.
    """
    if not len(tiles):
        return []
    hidden = list(zip(ranges[:-1], network.slopes, strict=True))
    stay = [[np.flatnonzero(column) for column in part.folding.T] for part, _ in hidden]
    gains = [np.where(part.active, 1, below[:, None]) for part, below in hidden]
    lines = _lines(network, tiles, gains)
    every = range(len(tiles))
    owner = np.repeat(every, network.classes)
    rows = np.tile(np.asarray(network.weights[-1]).T, len(tiles))  # (width, scores of all tiles)
    read: list[list[Floats]] = [[] for _ in every]  # of each layer by all later ones, last first
    for k in range(len(hidden) - 1, -1, -1):
        weight, own = network.weights[k], [np.flatnonzero(owner == i) for i in every]
        for i in every:
            jump = 1 - network.slopes[k][stay[k][i]]
            read[i].append(rows[np.ix_(stay[k][i], own[i])].T * jump)
        rows *= gains[k][:, owner]
        if k == 1:  # of the first layer nothing else is needed
            for i in every:
                some = columns(weight, stay[0][i])
                jump = 1 - network.slopes[0][stay[0][i]]
                read[i].append(np.vstack([rows[:, own[i]].T @ some, some[stay[1][i]]]) * jump)
            break
        new = columns(transposed(weight), np.concatenate(stay[k]))
        rows = np.hstack([backward(weight, rows), new])
        owner = np.append(owner, np.repeat(every, [len(found) for found in stay[k]]))
    found = []
    for i in every:
        kept = [part[i] for part in stay] + [np.arange(network.classes)]
        own_lines = [line[rows, :, i] for line, rows in zip(lines, kept, strict=True)]
        sizes = [part.size[rows, i] for part, rows in zip(ranges, kept, strict=True)]
        found.append(_assembled(own_lines, sizes, read[i]))
    return found


def _lines(network: ReLUNetwork, tiles: Tiles, gains: list[Floats]) -> list[Floats]:
    """Return what neurons are of 1 and u (width, 3, m) where those that stay are left out."""
    first, bias = np.asarray(network.weights[0]), network.biases[0][:, None]
    value = first @ tiles.centre + bias
    found = [np.stack([value, first[:, :1] * tiles.half[0], first[:, 1:] * tiles.half[1]], axis=1)]
    for weight, bias, gain in zip(network.weights[1:], network.biases[1:], gains, strict=True):
        inside = (found[-1] * gain[:, None]).reshape(len(gain), -1)
        found.append(product(weight, inside).reshape(len(bias), 3, -1))
        found[-1][:, 0] += bias[:, None]
    return found


def _assembled(lines: list[Floats], sizes: list[Floats], read: list[Floats]) -> SmallNetwork:
    """Return a small network of what its layers are of u, and of what each reads of earlier ones.

    ``read[j]`` is of the j-th layer from the last: rows of the scores, then of later layers.
    """
    counts = [len(line) for line in lines]
    last = len(counts) - 1
    weights = []
    for k, count in enumerate(counts):
        start = 0 if k == last else counts[-1] + sum(counts[k + 1 : -1])
        parts = [read[last - 1 - j][start : start + count] for j in range(k)]
        weights.append(np.hstack([lines[k], *parts]))
    return SmallNetwork(tuple(weights), tuple(sizes))
