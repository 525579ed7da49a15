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
from localbook.tropical.networks import ReLUNetwork, backward, product
from localbook.tropical.regions.cells import BLOCK
from localbook.tropical.regions.small import Ranges, Tiles, chord_above, simplified, small_networks
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.walk import SmallNetwork, ties_by_walking
from localbook.tropical.tolerance import TOLERANCE

AT_ONCE = 32
"""Tiles that are bounded together: few enough for their bounds to stay small in memory."""

FOLDS = 220
"""Ties are looked for on tiles in which no more neurons than this can change sign."""

DEEP = 6
"""Of networks with more hidden layers the neurons that stay are found by tighter bounds."""

DEEPEST = 24
"""Tiles are halved this often at most, each way in turn: rounding then decides."""


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
    waiting = Tiles(np.zeros((2, 1)), np.ones((2, 1)))
    while len(waiting):
        tiles, waiting = (waiting.select(slice(*part)) for part in ((AT_ONCE,), (AT_ONCE, None)))
        ranges, undecided = bounds(network, tiles)
        deepest = tiles.half.min(axis=0) < 2.0**-DEEPEST
        for i, nets in _small(network, tiles, ranges, undecided, deepest):
            undecided[i] = False
            for net in nets:
                found = ties_by_walking(net) or ties_on_square(net.layers())
                yield tiles.select(slice(i, i + 1)), found
        waiting = waiting.and_(tiles.select(undecided).quarters())


def _small(
    network: ReLUNetwork, tiles: Tiles, ranges: Sequence[Ranges], undecided: Masks, deepest: Masks
) -> Iterator[tuple[int, list[SmallNetwork]]]:
    """Yield the undecided tiles with a small network, and that; or none, if it has no ties."""
    deep = len(network.slopes) > DEEP
    folds = [
        np.count_nonzero(part.folding, axis=0) for part in (ranges[:1] if deep else ranges[:-1])
    ]
    chosen = np.flatnonzero(undecided & ((sum(folds) <= FOLDS) | deepest))
    step = 1 if deep else max(1, BLOCK // (network.classes * max(map(len, network.biases))))
    for k in range(0, len(chosen), step):
        some = chosen[k : k + step]
        here = tiles.select(some)
        if deep:
            nets = simplified(network, here, network.neurons if deepest[some[0]] else FOLDS)
            if nets is not None:
                yield int(some[0]), nets
        else:
            parts = [part.on(some) for part in ranges]
            nets = small_networks(network, here, parts)
            yield from ((i, [net]) for i, net in zip(some.tolist(), nets, strict=True))


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
        chord, middle = chord_above(ranges[-1])
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
        chord, drop = chord_above(found)
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
