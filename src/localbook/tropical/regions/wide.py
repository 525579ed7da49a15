"""Ties of a wide network: tiles, halved until bounds settle them or few neurons fold.

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
from localbook.tropical.networks import ReLUNetwork, backward, product
from localbook.tropical.regions.cells import Layer
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.tolerance import TOLERANCE

AT_ONCE = 64
"""Tiles that are bounded together: few enough for their bounds to stay small in memory."""

FOLDS = 150
"""Tiles in which no more neurons than this can change sign are not halved any further."""

DEEPEST = 24
"""Tiles are halved this often at most, each way in turn: rounding then decides."""


@dataclass(frozen=True)
class Tiles:
    """Boxes centre +- half in the plane, both (2, m)."""

    centre: Floats
    half: Floats

    def __len__(self) -> int:
        return len(self.centre[0])

    def select(self, chosen: Masks | slice) -> "Tiles":
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
    """

    low: Floats
    high: Floats

    @property
    def folding(self) -> Masks:
        """Which neurons can change sign (width, m)."""
        return (self.low < 0) & (self.high > 0)

    def on(self, tile: Indices) -> "Ranges":
        """Return the ranges on some tiles."""
        return Ranges(self.low[:, tile], self.high[:, tile])

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
    for tile, small in tiles_with_ties(network):
        parts.append(_placed(ties_on_square(small), tile))
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


def tiles_with_ties(network: ReLUNetwork) -> Iterator[tuple[Tiles, list[Layer]]]:
    """Yield tiles that cover all ties in [-1, 1]^2, and a network of few neurons for each."""
    waiting = [Tiles(np.zeros((2, 1)), np.ones((2, 1)))]
    while waiting:
        tiles = waiting.pop()
        if len(tiles) > AT_ONCE:
            waiting.append(tiles.select(slice(AT_ONCE, None)))
            tiles = tiles.select(slice(AT_ONCE))
        ranges, undecided = bounds(network, tiles)
        deepest = tiles.half.min(axis=0) < 2.0**-DEEPEST
        small = np.count_nonzero(ranges[0].folding, axis=0) <= FOLDS
        for i in np.flatnonzero(undecided & (small | deepest)).tolist():
            tile = tiles.select(slice(i, i + 1))
            most = len(network.weights) * max(map(len, network.biases)) if deepest[i] else FOLDS
            layers = simplified(network, tile.centre[:, 0], tile.half[:, 0], most)
            if layers:
                yield tile, layers
            undecided[i] = layers is None
        if undecided.any():
            waiting.append(tiles.select(undecided).quarters())


def bounds(network: ReLUNetwork, tiles: Tiles) -> tuple[list[Ranges], Masks]:
    """Return all layers' ranges, and on which tiles (m,) two classes can tie for the top."""
    ranges, centre, slopes, doubt, rounding = _forwards(network, tiles)
    top = centre.argmax(axis=0)
    every = np.arange(len(tiles))
    lead = centre[top, every] - centre
    lead -= sum(np.abs(a[top, every] - a) * h for a, h in zip(slopes, tiles.half, strict=True))
    slack = rounding + rounding[top, every]
    close = lead <= doubt + doubt[top, every] + slack
    close[top, every] = False
    tile, rival = np.nonzero(close.T)
    pairs = Pairs(tile, top[tile], rival)
    # The slopes used going back are at most twice those used going forward, in every layer.
    close[rival, tile] = _backwards(network, tiles, ranges, pairs) <= (
        2 ** len(network.weights) * slack[rival, tile]
    )
    return ranges, close.any(axis=0)


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
    return Ranges(value - extent, value + extent)


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
        here, below = found.on(pairs.tile), slopes[:, None]
        chord, drop = _chord(here)
        bent = rows * (1 - below)
        against = bent < 0
        constant -= np.sum(bent * drop, axis=0, where=against)
        bent *= np.where(against, chord, here.high > -np.minimum(here.low, 0))
        rows = rows * below + bent
        constant += bias @ rows
        rows = backward(weight, rows)
    centre, half = tiles.centre[:, pairs.tile], tiles.half[:, pairs.tile]
    least: Floats = constant + np.sum(rows * centre - np.abs(rows) * half, axis=0)
    return least


def simplified(network: ReLUNetwork, centre: Floats, half: Floats, most: int) -> list[Layer] | None:
    """Return the network u -> network(centre + half u) for u in [-1, 1]^2, with few neurons.

    Neurons that keep their sign are affine there and fold into the weights. Those that change it
    stay, and pass through the layers that follow. Layers without a neuron that changes its sign are
    gone. Returns no layer if no two classes tie, and None if more than ``most`` neurons stay.

    Which change their sign, a zonotope tells: the ReLU of z in [l, u] is c z - c l / 2, up to -c l
    / 2 times a number of its own in [-1, 1]; so what cancels between neurons cancels here, too.
    """
    first = np.asarray(network.weights[0])
    maps = np.column_stack([first @ centre + network.biases[0], first * half])
    size = np.abs(first) @ (np.abs(centre) + half) + np.abs(network.biases[0])
    zonotope = np.eye(3)  # what 1, u and the neurons that stay are, of 1, u and their own numbers
    small: list[Layer] = []
    slopes = np.ones(2)  # of what the next layer reads
    for weight, magnitude, bias, below in zip(
        network.weights[1:], network.magnitudes[1:], network.biases[1:], network.slopes,
        strict=True,
    ):  # fmt: skip
        value = maps @ zonotope
        reach = np.abs(value[:, 1:]).sum(axis=1)
        ranges = Ranges(value[:, 0] - reach, value[:, 0] + reach)
        slack, largest = TOLERANCE.rounding * size, ranges.largest(below)
        ranges.low[(below == 1) | (ranges.low > -slack)] = 0  # rounding alone is no fold
        ranges.high[ranges.high < slack] = 0
        stay = np.flatnonzero(ranges.folding)
        kept = maps.shape[1] - 1
        if kept - 2 + len(stay) > most:
            return None
        chord, middle = _chord(ranges)
        middle /= -2
        if len(stay):
            rows = np.vstack([np.eye(kept), maps[stay, 1:]])
            offsets = np.hstack([np.zeros((2, kept)), [maps[stay, 0], size[stay]]])
            small.append(Layer(rows, offsets, slopes))
            slopes = np.append(np.ones(kept), np.zeros(len(stay)))
            lines = chord[stay, None] * value[stay]
            lines[:, 0] += middle[stay]
            own = np.vstack([np.zeros((kept + 1, len(stay))), np.diag(middle[stay])])
            zonotope = np.hstack([np.vstack([zonotope, lines]), own])
        passed = np.zeros((len(maps), kept + 1 + len(stay)))
        passed[:, : kept + 1] = maps * np.where(ranges.low >= 0, 1, below)[:, None]
        passed[stay, kept + 1 + np.arange(len(stay))] = 1 - below[stay]
        maps = product(weight, passed)
        maps[:, 0] += bias
        size = product(magnitude, largest[:, None])[:, 0] + np.abs(bias)
    value = maps @ zonotope
    top = value[:, 0].argmax()
    lead, slack = value[top] - value, TOLERANCE.rounding * (size + size[top])
    ahead = lead[:, 0] - np.abs(lead[:, 1:]).sum(axis=1) > slack
    ahead[top] = True
    return [] if ahead.all() else [*small, Layer(maps[:, 1:], np.stack([maps[:, 0], size]), slopes)]
