"""Bounds on what a wide network does on tiles: what its neurons can be, and which classes can tie.

Each tile has bounds on all pre-activations, from a pass forwards: a neuron with values in [l, u],
l < 0 < u, obeys c z <= relu(z) <= c (z - l), c = u / (u - l), and one of slope s below zero makes
s z + (1 - s) relu(z) of z. A pass back from the scores then bounds the lead of one class over
another: seen from there each neuron's sign in the lead is known, and what cancels between neurons
cancels in the bound too. After Zhang et al., "Efficient Neural
Network Robustness Certification with General Activation Functions" (CROWN, arXiv 1811.00866).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.networks import Matrix, ReLUNetwork, Window, backward, product
from localbook.tropical.tolerance import TOLERANCE

LARGEST = 2.0**64
"""Single precision serves networks whose terms get no larger, and over 2^-32 in every layer."""

LEAST = 1 / LARGEST
"""In single precision, signs of smaller numbers are left open."""


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
        return Window(self.centre, self.half).place(points)

    def quarters(self) -> "Tiles":
        """Return the four quarters of each tile."""
        half = self.half / 2
        signs = [(i, j) for i in (-1, 1) for j in (-1, 1)]
        centres = [self.centre + half * np.array(sign)[:, None] for sign in signs]
        return Tiles(np.concatenate(centres, axis=1), np.tile(half, 4))

    def and_(self, others: "Tiles") -> "Tiles":
        """Return these tiles, then others."""
        return Tiles(np.hstack([self.centre, others.centre]), np.hstack([self.half, others.half]))


@dataclass(frozen=True)
class Ranges:
    """What the neurons of one layer do on each tile.

    Attributes
    ----------
    low, high : ndarray (width, m)
        Between which values they lie; from 0 on for those that only pass a value on.
    size : ndarray (width, 1)
        How large the terms are that were added up for them, on any of the tiles.
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

    @cached_property
    def chord(self) -> tuple[Floats, Floats]:
        """The numbers c and c l (width, m) of the chord c (z - l) above relu(z)."""
        low, high = np.minimum(self.low, 0), np.maximum(self.high, 0)
        chord: Floats = high / (high - low + np.finfo(high.dtype).tiny)
        return chord, chord * low

    @property
    def _slack(self) -> Floats:
        return 2 * TOLERANCE.rounding * self.size

    def on(self, tile: Indices) -> "Ranges":
        """Return the ranges on some tiles."""
        return Ranges(self.low[:, tile], self.high[:, tile], self.size)

    def largest(self, slopes: Floats) -> Floats:
        """Return how large neurons of these slopes can get on any tile (width, 1)."""
        below: Floats = np.abs(slopes) * -np.minimum(self.low.min(axis=1, keepdims=True), 0)
        largest: Floats = np.maximum(self.high.max(axis=1, keepdims=True), below)
        return largest


@dataclass(frozen=True)
class Pairs:
    """Two classes each, ``top`` and ``rival`` (p,), that are compared on a ``tile`` (p,)."""

    tile: Indices
    top: Indices
    rival: Indices


@dataclass(frozen=True)
class Bounds:
    """A network of two inputs, in the precision in which it is bounded.

    Attributes
    ----------
    weights, magnitudes : tuple of Matrix
    biases, slopes : tuple of ndarray
        As of :class:`ReLUNetwork`.
    """

    weights: tuple[Matrix, ...]
    magnitudes: tuple[Matrix, ...]
    biases: tuple[Floats, ...]
    slopes: tuple[Floats, ...]

    @classmethod
    def of(cls, network: ReLUNetwork, kind: DTypeLike = np.float64) -> "Bounds":
        """Return a network's, in numbers of one kind."""
        parts = network.weights, network.magnitudes, network.biases, network.slopes
        return cls(*(tuple(one.astype(kind) for one in part) for part in parts))

    def __call__(self, tiles: Tiles) -> tuple[list[Ranges], Masks]:
        """Return all layers' ranges, and on which tiles (m,) two classes can tie for the top."""
        ranges, scores, doubt = self._forwards(tiles)
        top, every = scores[:, 0].argmax(axis=0), np.arange(len(tiles))
        leads = scores[top, :, every].T - scores  # (classes, 3, m)
        lead = leads[:, 0] - (np.abs(leads[:, 1:]) * tiles.half).sum(axis=1)
        slack = self._slack(ranges[-1].size)
        slack = slack + slack[top, 0]
        close = lead <= doubt + doubt[top, every] + slack
        close[top, every] = False
        # The slopes used going back are at most twice those used going forward, in every layer.
        slack *= 2 ** len(self.weights)
        undecided = np.zeros(len(tiles), np.bool_)
        # One class that can tie is enough: the nearest is asked first, then where it cannot the
        # others.
        tile = np.flatnonzero(close.any(axis=0))
        rival = np.where(close, scores[:, 0], -np.inf).argmax(axis=0)[tile]
        for _ in range(2):
            least = self._backwards(tiles, ranges, Pairs(tile, top[tile], rival))
            undecided[tile[least <= slack[rival, tile]]] = True
            close[rival, tile] = False
            tile, rival = np.nonzero((close & ~undecided).T)
        return ranges, undecided

    @property
    def fits_single(self) -> bool:
        """Whether single precision is enough for all of its terms on [-1, 1]^2."""
        square = Tiles(np.zeros((2, 1)), np.ones((2, 1)))
        sizes = [part.size.max() for part in self._forwards(square)[0]]
        return bool(max(sizes) < LARGEST and min(sizes) > LEAST**0.5)

    def _slack(self, size: Floats) -> Floats:
        """Return how far rounding can move what has terms of such a size."""
        if size.dtype == np.float64:
            return TOLERANCE.rounding * size
        slack: Floats = TOLERANCE.rounding * 2.0**29 * size  # single precision has 29 bits less
        slack[size > 0] += LEAST
        return slack

    def _forwards(self, tiles: Tiles) -> tuple[list[Ranges], Floats, Floats]:
        """Return ranges; of the scores, centres' values and both slopes (classes, 3, m); doubt."""
        many, halves = len(tiles), tiles.half.astype(self.biases[0].dtype)
        inside = np.zeros((2, 3, many), halves.dtype)
        inside[:, 0], inside[[0, 1], [1, 2]] = tiles.centre, 1
        doubts = np.zeros((2, many + 1), inside.dtype)
        doubts[:, -1] = (np.abs(tiles.centre) + tiles.half).max(axis=1)
        ranges: list[Ranges] = []
        for k, bias in enumerate(self.biases):
            maps = product(self.weights[k], inside.reshape(len(inside), -1)).reshape(-1, 3, many)
            maps[:, 0] += bias[:, None]
            doubt, size = np.split(product(self.magnitudes[k], doubts), [many], axis=1)
            size += np.abs(bias)[:, None]
            extent = doubt + self._slack(size)
            for slope, half in zip(
                (maps[:, 1], maps[:, 2]), tiles.half.astype(maps.dtype), strict=True
            ):
                extent += np.abs(slope) * half
            ranges.append(Ranges(maps[:, 0] - extent, maps[:, 0] + extent, size))
            if k == len(self.slopes):
                break
            below = self.slopes[k][:, None]
            largest = ranges[-1].largest(below)
            ranges[-1].low[below[:, 0] == 1] = 0
            share, drop = ranges[-1].chord
            middle = drop / -2  # halfway between the chord and its parallel through 0
            if below.any():
                share, middle = below + (1 - below) * share, (1 - below) * middle
            inside = maps * share[:, None]
            inside[:, 0] += middle
            doubts = np.hstack([np.abs(share) * doubt + np.abs(middle), largest])
        return ranges, maps, doubt

    def _backwards(self, tiles: Tiles, ranges: list[Ranges], pairs: Pairs) -> Floats:
        """Return lower bounds (p,) of the lead of ``top`` over ``rival`` on their tiles."""
        last, bias = np.asarray(self.weights[-1]), self.biases[-1]
        rows = (last[pairs.top] - last[pairs.rival]).T  # (width, p)
        constant = bias[pairs.top] - bias[pairs.rival]
        for weight, bias, slopes, found in zip(
            self.weights[-2::-1], self.biases[-2::-1], self.slopes[::-1], ranges[-2::-1],
            strict=True,
        ):  # fmt: skip
            below = slopes[:, None]
            bent = rows * (1 - below) if below.any() else rows
            active = (found.high > -np.minimum(found.low, 0)).astype(rows.dtype)
            chord, drop = found.chord
            few = np.flatnonzero((drop < 0)[:, pairs.tile] & (bent < 0))
            k, p = np.divmod(few, len(constant))
            value, folds = bent[k, p], (k, pairs.tile[p])
            constant = constant - np.bincount(p, value * drop[folds], len(constant))
            bent = bent * active[:, pairs.tile]
            bent[k, p] = value * chord[folds]
            rows = rows * below + bent if below.any() else bent
            constant += bias @ rows
            rows = backward(weight, rows)
        centre, half = tiles.centre[:, pairs.tile], tiles.half[:, pairs.tile]
        least: Floats = constant + np.sum(rows * centre - np.abs(rows) * half, axis=0)
        return least
