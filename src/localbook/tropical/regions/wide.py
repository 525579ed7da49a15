"""Ties of a wide network: tiles, halved until bounds settle them or few neurons fold.

On a small tile the few neurons that change sign there are all that is left of the network.

Each tile has bounds on all pre-activations, from a pass forwards: a neuron with values in [l, u],
l < 0 < u, obeys s z <= relu(z) <= s (z - l), s = u / (u - l). A pass back from the scores then
bounds the lead of one class over another: seen from there each neuron's sign in the lead is known,
and what cancels between neurons cancels in the bound too. After Zhang et al., "Efficient Neural
Network Robustness Certification with General Activation Functions" (CROWN, arXiv 1811.00866).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.networks import AffineLayer, ReLUNetwork
from localbook.tropical.regions.cells import Layer
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.tolerance import TOLERANCE

AT_ONCE = 128
"""Tiles that are bounded together: few enough for their bounds to stay small in memory."""

FOLDS = 100
"""Tiles in which no more neurons than this can change sign are not halved any further."""

DEEPEST = 24
"""Tiles are halved this often at most, each way in turn: rounding then decides."""


LIFT = 2.0
"""Added to the coordinates, which lie in [-1, 1], so that ReLUs let them pass."""


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
        Between which values they lie.
    size : ndarray (width, m)
        A bound on the size of all terms that are added up: how far rounding can move a value.
    """

    low: Floats
    high: Floats
    size: Floats

    @property
    def folding(self) -> Masks:
        """Which neurons can change sign (width, m)."""
        return (self.low < 0) & (self.high > 0)

    def on(self, tile: Indices | int) -> "Ranges":
        """Return the ranges on some tiles, or on one."""
        return Ranges(self.low[:, tile], self.high[:, tile], self.size[:, tile])


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
    layers = [AffineLayer(w, b) for w, b in zip(network.weights, network.biases, strict=True)]
    none = np.empty((0, 2), dtype=np.intp)
    parts = [Ties(np.empty((2, 2, 0)), none, [], none)]
    for tile, ranges in tiles_with_ties(layers):
        small = simplified(layers, tile.centre[:, 0], tile.half[:, 0], ranges)
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


def tiles_with_ties(layers: Sequence[AffineLayer]) -> Iterator[tuple[Tiles, list[Ranges]]]:
    """Yield tiles that cover all ties in [-1, 1]^2, and the ranges of all layers on each."""
    waiting = [Tiles(np.zeros((2, 1)), np.ones((2, 1)))]
    while waiting:
        tiles = waiting.pop()
        if len(tiles) > AT_ONCE:
            waiting.append(tiles.select(slice(AT_ONCE, None)))
            tiles = tiles.select(slice(AT_ONCE))
        ranges, undecided = bounds(layers, tiles)
        folds = np.sum([np.count_nonzero(r.folding, axis=0) for r in ranges[:-1]], axis=0)
        last = (folds <= FOLDS) | (tiles.half.min(axis=0) < 2.0**-DEEPEST)
        for i in np.flatnonzero(undecided & last).tolist():
            one = slice(i, i + 1)
            yield tiles.select(one), [r.on(i) for r in ranges]
        if (undecided & ~last).any():
            waiting.append(tiles.select(undecided & ~last).quarters())


def bounds(layers: Sequence[AffineLayer], tiles: Tiles) -> tuple[list[Ranges], Masks]:
    """Return all layers' ranges, and on which tiles (m,) two classes can tie for the top."""
    ranges, centre, slopes, doubt, rounding = _forwards(layers, tiles)
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
    close[rival, tile] = _backwards(layers, tiles, ranges, pairs) <= (
        2 ** len(layers) * slack[rival, tile]
    )
    return ranges, close.any(axis=0)


def _forwards(
    layers: Sequence[AffineLayer], tiles: Tiles
) -> tuple[list[Ranges], Floats, tuple[Floats, Floats], Floats, Floats]:
    """Return ranges, and the scores: at the centres, both slopes, their doubt and rounding."""
    first = layers[0]
    value = first.product(tiles.centre) + first.bias[:, None]
    slope = [np.repeat(column[:, None], len(tiles), axis=1) for column in first.weight.T]
    doubt = np.zeros_like(value)
    size = first.spread(np.abs(tiles.centre) + tiles.half) + np.abs(first.bias)[:, None]
    ranges = []
    for layer in (*layers[1:], None):
        extent = doubt + TOLERANCE.rounding * size
        extent += np.abs(slope[0]) * tiles.half[0] + np.abs(slope[1]) * tiles.half[1]
        ranges.append(Ranges(value - extent, value + extent, size))
        if layer is None:
            return ranges, value, (slope[0], slope[1]), doubt, TOLERANCE.rounding * size
        share, middle = _chord(ranges[-1])
        middle /= -2  # halfway between the chord and its parallel through 0
        inside = [share * value + middle, share * slope[0], share * slope[1]]
        value, *slope = np.split(layer.product(np.hstack(inside)), 3, axis=1)
        value += layer.bias[:, None]
        doubts = [share * doubt + middle, share * size + middle]
        doubt, size = np.split(layer.spread(np.hstack(doubts)), 2, axis=1)
        size += np.abs(layer.bias)[:, None]
    raise AssertionError  # the loop returns


def _chord(ranges: Ranges) -> tuple[Floats, Floats]:
    """Return s and s l, of the chord s (z - l) above relu(z)."""
    low, high = np.minimum(ranges.low, 0), np.maximum(ranges.high, 0)
    share = np.divide(high, high - low, out=np.zeros_like(high), where=high > 0)
    return share, share * low


def _backwards(
    layers: Sequence[AffineLayer], tiles: Tiles, ranges: Sequence[Ranges], pairs: Pairs
) -> Floats:
    """Return lower bounds (p,) of the lead of ``top`` over ``rival`` on their tiles."""
    last = layers[-1]
    rows = (last.weight[pairs.top] - last.weight[pairs.rival]).T  # (width, p)
    constant = last.bias[pairs.top] - last.bias[pairs.rival]
    for layer, found in zip(layers[-2::-1], ranges[-2::-1], strict=True):
        here = found.on(pairs.tile)
        share, drop = _chord(here)
        against = rows < 0
        constant -= np.sum(rows * drop, axis=0, where=against)
        rows = rows * np.where(against, share, here.high > -np.minimum(here.low, 0))
        constant += layer.bias @ rows
        rows = layer.backward(rows)
    centre, half = tiles.centre[:, pairs.tile], tiles.half[:, pairs.tile]
    least: Floats = constant + np.sum(rows * centre - np.abs(rows) * half, axis=0)
    return least


def simplified(
    layers: Sequence[AffineLayer], centre: Floats, half: Floats, ranges: Sequence[Ranges]
) -> list[Layer]:
    """Return the network u -> layers(centre + half u) for u in [-1, 1]^2, with few neurons.

    Neurons that keep their sign are affine there and fold into the weights. Those that change it
    stay, and so do the values of the layers before, which pass the ReLUs unchanged because they are
    not negative. Layers without a neuron that changes its sign are gone.

    The ranges are those of all layers on the box; their sizes go with the offsets, since what
    cancelled while weights were folded cannot be seen in them any more.
    """
    first = layers[0]
    start = first.product(centre[:, None]) + first.bias[:, None]
    maps = np.hstack([start, first.weight * half])  # of 1, u and the neurons that stay
    small: list[Layer] = []
    for layer, found in zip(layers[1:], ranges[:-1], strict=True):
        folding = found.folding
        if folding.any():
            weight, offset = _affine(maps[folding], found.size[folding], lifted=bool(small))
            kept = weight.shape[1]
            passing = np.full((2, kept), 0.0 if small else LIFT)
            small.append((np.vstack([np.eye(kept), weight]), np.hstack([passing, offset])))
        maps = layer.product(_pass(maps, found))
        maps[:, 0] += layer.bias
    return [*small, _affine(maps, ranges[-1].size, lifted=bool(small))]


def _pass(maps: Floats, ranges: Ranges) -> Floats:
    """Return the maps of the ReLU's values, with a column more for each neuron that stays."""
    folding = np.flatnonzero(ranges.folding)
    passed = np.zeros((len(maps), maps.shape[1] + len(folding)))
    passed[:, : maps.shape[1]] = maps * (ranges.low >= 0)[:, None]
    passed[folding, maps.shape[1] + np.arange(len(folding))] = 1
    return passed


def _affine(maps: Floats, size: Floats, lifted: bool) -> Layer:
    """Return ``maps`` as a layer that takes u, or what is LIFT above it, and the neurons so far."""
    weight = maps[:, 1:]
    bias = maps[:, 0] - (LIFT * weight[:, :2].sum(axis=1) if lifted else 0)
    return weight, np.stack([bias, size])
