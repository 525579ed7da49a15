"""What is left of a wide network on a small tile: the few neurons that change their sign there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.networks import ReLUNetwork, backward, columns, product, transposed
from localbook.tropical.regions.walk import SmallNetwork
from localbook.tropical.tolerance import TOLERANCE


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


def chord_above(ranges: Ranges) -> tuple[Floats, Floats]:
    """Return c and c l, of the chord c (z - l) above relu(z)."""
    low, high = np.minimum(ranges.low, 0), np.maximum(ranges.high, 0)
    chord = np.divide(high, high - low, out=np.zeros_like(high), where=high > 0)
    return chord, chord * low


def small_networks(
    network: ReLUNetwork, tiles: Tiles, ranges: Sequence[Ranges]
) -> list[SmallNetwork]:
    """Return, for each tile, the network u -> network(centre + half u) with few neurons.

    Neurons that keep their sign all over a tile are affine there and fold into the weights; those
    that can change it stay. A pass forwards gives what the others make of u, and a pass back from
    the scores and from the neurons that stay what all of these read of earlier ones.
    """
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


def simplified(network: ReLUNetwork, tile: Tiles, most: int) -> list[SmallNetwork] | None:
    """Return the only tile's network, by tighter bounds than those of ``Ranges``.

    None if more than ``most`` neurons stay; no network if no two classes tie.

    Which change their sign, a zonotope tells: the ReLU of z in [l, u] is c z - c l / 2, up to -c l
    / 2 times a number of its own in [-1, 1]; so what cancels between neurons cancels here, too.
    """
    first, centre, half = np.asarray(network.weights[0]), tile.centre[:, 0], tile.half[:, 0]
    maps = np.column_stack([first @ centre + network.biases[0], first * half])
    size = np.abs(first) @ (np.abs(centre) + half) + np.abs(network.biases[0])
    zonotope = np.eye(3)  # what 1, u and the neurons that stay are, of 1, u and their own numbers
    weights, sizes = [], []
    for weight, magnitude, bias, below in zip(
        network.weights[1:], network.magnitudes[1:], network.biases[1:], network.slopes,
        strict=True,
    ):  # fmt: skip
        value = maps @ zonotope
        reach = np.abs(value[:, 1:]).sum(axis=1)
        slack = TOLERANCE.rounding * size
        ranges = Ranges(value[:, 0] - reach - slack, value[:, 0] + reach + slack, size)
        ranges.low[below == 1] = 0
        stay = np.flatnonzero(ranges.folding)
        kept = maps.shape[1]
        if kept - 3 + len(stay) > most:
            return None
        weights.append(maps[stay])
        sizes.append(size[stay])
        chord, middle = chord_above(ranges)
        middle /= -2
        lines = chord[stay, None] * value[stay]
        lines[:, 0] += middle[stay]
        own = np.vstack([np.zeros((kept, len(stay))), np.diag(middle[stay])])
        zonotope = np.hstack([np.vstack([zonotope, lines]), own])
        passed = maps * np.where(ranges.active, 1, below)[:, None]
        maps = np.hstack([product(weight, passed), columns(weight, stay) * (1 - below[stay])])
        maps[:, 0] += bias
        size = product(magnitude, ranges.largest(below)[:, None])[:, 0] + np.abs(bias)
    value = maps @ zonotope
    top = value[:, 0].argmax()
    lead, slack = value[top] - value, TOLERANCE.rounding * (size + size[top])
    ahead = lead[:, 0] - np.abs(lead[:, 1:]).sum(axis=1) > slack
    ahead[top] = True
    return [] if ahead.all() else [SmallNetwork((*weights, maps), (*sizes, size))]
