"""Cutting polygons along the folds of a layer until the layer is affine on each of them.

A polygon crossed by the zero lines ("folds") of several neurons is cut along the fold nearest to
its centre, then each half along the nearest fold left in it, and so on: a binary space partition,
advanced for all polygons at once. Each fold remembers its chord, the segment of it that lies in
its polygon, so whether a cut separates, splits or misses it takes two evaluations. Work grows as
the number of cells made times the depth of the partition, which is logarithmic in practice.

Coordinates are those of the square [-1, 1]^2. Affine functions have four coefficients: of x, of y,
of 1, and a bound on the size of all terms that were added up, which says how far rounding can move
a value. One array ``maps`` (4, k, m) holds k functions on m cells.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.networks import ReLUNetwork
from localbook.tropical.regions.polygons import Polygons, join
from localbook.tropical.tolerance import TOLERANCE

BLOCK = 2**22
"""Values of one layer at polygon corners that are held in memory at a time."""

DENSE = 0.005
"""Share of non-zeros above which, for many outputs, a product with a full matrix beats sums."""


@dataclass(frozen=True)
class Cells:
    """Polygons, and the affine functions ``maps`` (4, k, m) on them."""

    polygons: Polygons
    maps: Floats

    def select(self, chosen: Masks) -> "Cells":
        """Return the cells where ``chosen`` (m,) is true."""
        return Cells(self.polygons.select(chosen), self.maps[..., chosen])


@dataclass(frozen=True)
class Folds:
    """The neurons that change sign inside a cell, sorted by cell.

    Attributes
    ----------
    cell, neuron : ndarray (n,)
    line : ndarray (4, n)
        The pre-activation as an affine function on the cell.
    head, tail : ndarray (2, n)
        Ends of the chord where it is zero.
    height : ndarray (n,)
        Its value at the centre of the cell.
    """

    cell: Indices
    neuron: Indices
    line: Floats
    head: Floats
    tail: Floats
    height: Floats

    def nearest(self) -> Indices:
        """Return, for each cell in turn, which of its folds passes nearest to its centre."""
        first = np.flatnonzero(np.diff(self.cell, prepend=-1))
        distance = np.abs(self.height) / np.hypot(self.line[0], self.line[1])
        least = np.minimum.reduceat(distance, first)
        ties = np.flatnonzero(distance == np.repeat(least, np.diff(first, append=len(self.cell))))
        return ties[np.flatnonzero(np.diff(self.cell[ties], prepend=-1))]

    def select(self, chosen: Masks) -> "Folds":
        """Return the folds where ``chosen`` (n,) is true."""
        index = np.flatnonzero(chosen)
        return Folds(*(np.take(field, index, axis=-1) for field in vars(self).values()))

    def renumber(self, numbers: Indices) -> "Folds":
        """Return the folds with ``numbers[i]`` for cell i."""
        return replace(self, cell=numbers[self.cell])


class Layer(NamedTuple):
    """An affine layer, and what the neurons that it reads make of their values.

    Attributes
    ----------
    weight : ndarray (k, width)
    offset : ndarray (2, k)
        The bias and the size of its terms.
    slopes : ndarray (width,)
        The neurons' slopes below zero, as in :class:`ReLUNetwork`; 1 for inputs.
    """

    weight: Floats
    offset: Floats
    slopes: Floats

    @property
    def jump(self) -> Floats:
        """What the weights gain (k, width) where neurons are active."""
        return self.weight * (1 - self.slopes) if self.slopes.any() else self.weight


Prune = Callable[[Cells, Folds, Floats], Masks]
"""Says which cells are worth keeping, given them, their folds and the next layer's jump."""


def layers_of(network: ReLUNetwork) -> list[Layer]:
    """Return the affine layers of a network."""
    slopes = (np.ones(network.inputs), *network.slopes)
    return [
        Layer(np.asarray(weight), np.stack([bias, np.abs(bias)]), slope)
        for weight, bias, slope in zip(network.weights, network.biases, slopes, strict=True)
    ]


def square_cell(first: Layer) -> Cells:
    """Return the square [-1, 1]^2 with the first layer of a network of two inputs on it."""
    square = Polygons(np.array([[-1.0, 1, 1, -1], [-1, -1, 1, 1]]), np.array([0, 4]))
    weight, (bias, size), _ = first
    maps = np.stack([*weight.T, bias, np.abs(weight).sum(axis=1) + size])
    return Cells(square, maps[..., None])


def cut_layer(cells: Cells, layer: Layer, prune: Prune | None = None) -> Cells:
    """Cut cells until a layer is affine on each, and return them with the next layer on them.

    ``prune`` decides which cells to drop; neurons without outgoing weights are then not cut along.
    """
    done = [Cells(cells.polygons.select(_none(cells)), np.empty((4, len(layer.weight), 0)))]
    size = max(layer.weight.shape)
    block = cells.polygons.start[:-1] // max(1, BLOCK // size)
    for number in np.unique(block):
        done += _cut_block(cells.select(block == number), layer, prune)
    return Cells(join([c.polygons for c in done]), np.concatenate([c.maps for c in done], axis=-1))


def _none(cells: Cells) -> Masks:
    return np.zeros(len(cells.polygons), np.bool_)


def _cut_block(cells: Cells, layer: Layer, prune: Prune | None) -> list[Cells]:
    done = []
    jump = layer.jump
    cells, folds = _open(cells, layer, unused=prune is None)
    while True:
        if prune is not None:
            cells, folds = _restrict(cells, folds, prune(cells, folds, jump))
        busy = _none(cells)
        busy[folds.cell] = True
        done.append(cells.select(~busy))
        if not busy.any():
            return done
        cells, folds = _cut(*_restrict(cells, folds, busy), jump)


def _restrict(cells: Cells, folds: Folds, kept: Masks) -> tuple[Cells, Folds]:
    """Drop cells, and their folds with them."""
    if kept.all():
        return cells, folds
    return cells.select(kept), folds.select(kept[folds.cell]).renumber(np.cumsum(kept) - 1)


def _open(cells: Cells, layer: Layer, unused: bool) -> tuple[Cells, Folds]:
    """Find the folds of a layer, and the next layer as it is while all folding neurons are off."""
    polygons, maps = cells.polygons, cells.maps
    value = polygons.values(maps)  # (width, n)
    low = np.minimum.reduceat(value, polygons.start[:-1], axis=1)
    high = np.maximum.reduceat(value, polygons.start[:-1], axis=1)
    slack = TOLERANCE.rounding * maps[3]
    folding = (low < -slack) & (high > slack)
    able: Masks = layer.slopes != 1
    if not unused:
        able &= np.logical_or.reduce(layer.weight != 0, axis=0)
    folding &= able[:, None]
    active = ~folding & (high > -low)
    following = next_layer(maps * np.where(active, 1, layer.slopes[:, None]), layer)
    cell, neuron = np.nonzero(folding.T)
    head, tail = (end[:, neuron, cell] for end in polygons.chords(value))
    line = maps[:, neuron, cell]
    height = value_at(line, polygons.centres[:, cell])
    return Cells(polygons, following), Folds(cell, neuron, line, head, tail, height)


def _cut(cells: Cells, folds: Folds, jump: Floats) -> tuple[Cells, Folds]:
    """Cut every cell along one of its folds; the halves where it is on come first."""
    chosen = folds.nearest()
    line, neuron = folds.line[:, chosen], folds.neuron[chosen]
    value = cells.polygons.values(line)
    size = np.abs(value)
    largest = np.maximum.reduceat(size, cells.polygons.start[:-1])
    snap = np.minimum(TOLERANCE.rounding * line[3], TOLERANCE.snap * largest)
    value[size <= snap[cells.polygons.owner]] = 0
    polygons = join(cells.polygons.split(value))
    maps = np.concatenate([cells.maps + _outgoing(jump, neuron, line), cells.maps], axis=-1)
    rest = np.ones(len(folds.cell), np.bool_)
    rest[chosen] = False
    folds, inside, doubtful = _share_out(folds.select(rest), line)

    real = polygons.sizes > 0  # rounding can leave nothing on one side
    if not real.all():
        inside, doubtful = inside[real[folds.cell]], doubtful[real[folds.cell]]
        halves, folds = _restrict(Cells(polygons, maps), folds, real)
        polygons, maps = halves.polygons, halves.maps
    _look_closer(polygons, folds, inside, doubtful)
    height = value_at(folds.line, polygons.centres[:, folds.cell])
    folds = replace(folds, height=height)
    add_active(maps, jump, folds.select(~inside & (height > 0)))
    return Cells(polygons, maps), folds.select(inside)


def _look_closer(polygons: Polygons, folds: Folds, inside: Masks, doubtful: Masks) -> None:
    """Set ``inside`` for folds that do cross a thin half, though their chord hardly enters it."""
    doubt = np.flatnonzero(doubtful & ~inside)
    if not len(doubt):
        return
    halves, line = polygons.take(folds.cell[doubt]), folds.line[:, doubt]
    value, slack = halves.values(line), TOLERANCE.rounding * line[3]
    low = np.minimum.reduceat(value, halves.start[:-1])
    high = np.maximum.reduceat(value, halves.start[:-1])
    crossing = (low < -slack) & (high > slack)
    head, tail = halves.chords(value[None])
    found = doubt[crossing]
    folds.head[:, found], folds.tail[:, found] = head[:, 0, crossing], tail[:, 0, crossing]
    inside[found] = True


def _share_out(folds: Folds, cut: Floats) -> tuple[Folds, Masks, Masks]:
    """Copy folds to both halves of their cells, cut along the lines ``cut`` (4, m).

    Returns the folds (with heights of the whole cell), which of them enter their half, and which
    of them have an end so near to the cut that this is not certain.
    """
    cells = cut.shape[1]
    cut = cut[:, folds.cell]
    slack = TOLERANCE.rounding * cut[3]
    at_head, at_tail = value_at(cut, folds.head), value_at(cut, folds.tail)
    on = (at_head > slack) | (at_tail > slack)
    off = (at_head < -slack) | (at_tail < -slack)
    split = np.flatnonzero(on & off)
    t = at_head[split] / (at_head[split] - at_tail[split])
    meeting = folds.head[:, split] + t * (folds.tail[:, split] - folds.head[:, split])
    head, tail = np.tile(folds.head, 2), np.tile(folds.tail, 2)
    # The half where the cut neuron is on loses the end where it is off, and the other way round.
    head_on, count = at_head[split] > 0, len(on)
    head[:, split + count * head_on] = meeting
    tail[:, split + count * ~head_on] = meeting
    halves = Folds(
        np.concatenate([folds.cell, folds.cell + cells]),
        np.tile(folds.neuron, 2),
        np.tile(folds.line, 2),
        head,
        tail,
        np.tile(folds.height, 2),
    )
    near = (np.abs(at_head) <= slack) | (np.abs(at_tail) <= slack)
    return halves, np.concatenate([on, off]), np.tile(near, 2)


def next_layer(maps: Floats, layer: Layer) -> Floats:
    """Return the next layer's maps (4 or more, k, m) from those of hidden units (.., width, m).

    Rows from the fourth on hold bounds, which add up without regard to sign.
    """
    weight, offset, _ = layer
    following: Floats = np.empty((len(maps), len(weight), maps.shape[2]))
    np.matmul(weight, maps[:3], out=following[:3])
    np.matmul(np.abs(weight), np.abs(maps[3:]), out=following[3:])
    following[2:4] += offset[..., None]
    return following


def add_active(maps: Floats, jump: Floats, folds: Folds) -> None:
    """Add what active neurons gain to the next layer's ``maps`` (4 or more, k, m), in place."""
    if not len(folds.cell):
        return
    first = np.flatnonzero(np.diff(folds.cell, prepend=-1))
    cells = folds.cell[first]
    outputs, width = jump.shape
    room = width * len(cells)
    if len(folds.cell) > DENSE * (1 + (10 / outputs) ** 2) * room and len(maps) * room <= BLOCK:
        slot = np.repeat(np.arange(len(cells)), np.diff(first, append=len(folds.cell)))
        lines = np.zeros((len(maps), width, len(cells)))
        lines[:, folds.neuron, slot] = folds.line
        maps[..., cells] += next_layer(lines, Layer(jump, np.zeros((2, outputs)), np.zeros(width)))
    else:
        added = _outgoing(jump, folds.neuron, folds.line)
        maps[..., cells] += np.add.reduceat(added, first, axis=-1)


def _outgoing(jump: Floats, neuron: Indices, line: Floats) -> Floats:
    """Return what one active neuron each adds to the next layer (4 or more, k, n)."""
    added: Floats = line[:, None] * jump[:, neuron]
    np.abs(added[3:], out=added[3:])
    return added


def value_at(line: Floats, point: Floats) -> Floats:
    """Return affine functions (3 or more, ...) at points (2, ...)."""
    value: Floats = line[0] * point[0] + line[1] * point[1] + line[2]
    return value
