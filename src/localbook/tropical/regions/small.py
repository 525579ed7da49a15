"""What is left of a wide network on a small tile: the few neurons that change their sign there."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.tropical.networks import ReLUNetwork, backward, columns, product, transposed
from localbook.tropical.regions.bounds import Ranges, Tiles
from localbook.tropical.regions.cells import Layer
from localbook.tropical.tolerance import TOLERANCE

GRID = 6
"""In so many parts each way bounds on gradients are looked for."""

CENTRES = np.stack(np.meshgrid(*2 * [np.arange(1 - GRID, GRID, 2) / GRID]), axis=-1).reshape(-1, 2)


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
    def centres(self) -> tuple[Floats, Floats]:
        """The pre-activations and the scores at the centres of the parts of the square."""
        return self.at(CENTRES)

    @cached_property
    def shares(self) -> Shares:
        """How active neurons are at least and at most, 0 or 1, in each part of the square."""
        values, _ = self.centres
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
            reach = (1 + TOLERANCE.apart) / GRID * (largest[:, :parts] + largest[:, parts:]).T
            least[:, own] = values[:, own] > reach
            most[:, own] = values[:, own] >= -reach
            shares = (np.tile(share[:, own].T, 2) for share in (least, most))
            low[start:stop], high[start:stop] = _passed(falls, rises, *shares)
        return least, most

    @cached_property
    def layer_of(self) -> list[tuple[int, int]]:
        """Where the layer of each neuron starts and stops, by numbers of neurons."""
        ends = ((w.shape[1] - 3, w.shape[1] - 3 + len(w)) for w in self.weights[:-1])
        return [(start, stop) for start, stop in ends for _ in range(start, stop)]

    @cached_property
    def _signs(self) -> list[tuple[Floats, Floats, Floats]]:
        return [(w, np.maximum(w, 0), np.minimum(w, 0)) for w in self.weights[:-1]]


def _passed(low: Floats, high: Floats, least: Floats, most: Floats) -> tuple[Floats, Floats]:
    """Return bounds on what is between low and high, times what is between least and most."""
    return np.minimum(low * least, low * most), np.maximum(high * least, high * most)


def small_networks(
    network: ReLUNetwork, tiles: Tiles, ranges: Sequence[Ranges]
) -> list[SmallNetwork]:
    """Return, for each tile, the network u -> network(centre + half u) with few neurons.

    Neurons that keep their sign all over a tile are affine there and fold into the weights; those
    that can change it stay. A pass forwards gives what the others make of u, and a pass back from
    the scores and from the neurons that stay what all of these read of earlier ones.
    """
    hidden = list(zip(ranges[:-1], network.slopes, strict=True))
    folding = [part.folding for part, _ in hidden]
    gains = [np.where(part.active, 1, below[:, None]) for part, below in hidden]
    lines = _lines(network, tiles, gains)
    found = []
    for i in range(len(tiles)):
        stay = [np.flatnonzero(part[:, i]) for part in folding]
        read = _read(network, stay, [gain[:, i] for gain in gains])
        kept = [*stay, np.arange(network.classes)]
        own_lines = [line[rows, :, i] for line, rows in zip(lines, kept, strict=True)]
        sizes = [
            part.size[rows, 0].astype(np.float64) for part, rows in zip(ranges, kept, strict=True)
        ]
        found.append(_assembled(own_lines, sizes, read))
    return found


def _read(network: ReLUNetwork, stay: Sequence[Indices], gains: Sequence[Floats]) -> list[Floats]:
    """Return what is read of the neurons that stay, of each hidden layer, the last first.

    Rows are of the scores, then of the neurons that stay in later layers, of the last layer first.
    """
    jumps = [1 - below[own] for below, own in zip(network.slopes, stay, strict=True)]
    rows = np.asarray(network.weights[-1]).T
    read = []
    for k in range(len(stay) - 1, 0, -1):
        weight = network.weights[k]
        read.append(rows[stay[k]].T * jumps[k])
        back = rows * gains[k][:, None]
        if k == 1:  # of the first layer nothing else is needed
            ones = np.zeros((len(rows), len(stay[1])))
            ones[stay[1], np.arange(len(stay[1]))] = 1
            back = backward(weight, np.hstack([back, ones]), stay[0])
            return [*read, back.T * jumps[0]]
        rows = np.hstack([backward(weight, back), columns(transposed(weight), stay[k])])
    return [rows[stay[0]].T * jumps[0]]


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
        low, high = value[:, 0] - reach - slack, value[:, 0] + reach + slack
        ranges = Ranges(*(part[:, None] for part in (low, high, size)))
        largest = ranges.largest(below[:, None])
        low[below == 1] = 0
        stay = np.flatnonzero(ranges.folding)
        kept = maps.shape[1]
        if kept - 3 + len(stay) > most:
            return None
        weights.append(maps[stay])
        sizes.append(size[stay])
        chord, drop = (part[:, 0] for part in ranges.chord)
        middle = drop / -2
        lines = chord[stay, None] * value[stay]
        lines[:, 0] += middle[stay]
        own = np.vstack([np.zeros((kept, len(stay))), np.diag(middle[stay])])
        zonotope = np.hstack([np.vstack([zonotope, lines]), own])
        passed = maps * np.where(ranges.active, 1, below[:, None])
        maps = np.hstack([product(weight, passed), columns(weight, stay) * (1 - below[stay])])
        maps[:, 0] += bias
        size = product(magnitude, largest)[:, 0] + np.abs(bias)
    value = maps @ zonotope
    top = value[:, 0].argmax()
    lead, slack = value[top] - value, TOLERANCE.rounding * (size + size[top])
    ahead = lead[:, 0] - np.abs(lead[:, 1:]).sum(axis=1) > slack
    ahead[top] = True
    return [] if ahead.all() else [SmallNetwork((*weights, maps), (*sizes, size))]
