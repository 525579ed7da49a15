"""Ties of a wide network: tiles, quartered until bounds settle them or few neurons fold.

On a small tile the few neurons that change sign there are all that is left of the network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from localbook.arrays import Masks
from localbook.tropical.networks import ReLUNetwork
from localbook.tropical.regions.bounds import Bounds, Ranges, Tiles
from localbook.tropical.regions.cells import BLOCK
from localbook.tropical.regions.small import SmallNetwork, simplified, small_networks
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.walk import ties_by_walking
from localbook.tropical.tolerance import TOLERANCE

AT_ONCE = 32
"""Tiles that are bounded together: few enough for their bounds to stay small in memory."""

FOLDS = 160
"""Ties are looked for on tiles in which no more neurons than this can change sign."""

DEEP_FOLDS = 220
"""And of deep networks, whose bounds cost more, on tiles in which no more than this can."""

DEEP = 6
"""Of networks with more hidden layers the neurons that stay are found by tighter bounds."""

DEEPEST = 24
"""Tiles are halved this often at most, each way in turn: rounding then decides."""

ROUGH = 8
"""Tiles that were halved less often are bounded in single precision, if the network is not deep."""


def ties_by_tiles(network: ReLUNetwork) -> Ties:
    """Return all ties of a network of two inputs on [-1, 1]^2.

    Bounds find the tiles that can have ties; on each the network equals one of few neurons, whose
    ties are exact.
    """
    none = np.empty((0, 2), dtype=np.intp)
    parts = [Ties(np.empty((2, 2, 0)), none, [], none)]
    parts += [_placed(found, tile) for tile, found in _ties_of_tiles(network)]
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


def _ties_of_tiles(network: ReLUNetwork) -> Iterator[tuple[Tiles, Ties]]:
    """Yield tiles that cover all ties in [-1, 1]^2, and the ties on each as on [-1, 1]^2."""
    waiting = Tiles(np.zeros((2, 1)), np.ones((2, 1)))
    rough = exact = Bounds.of(network)
    if len(network.slopes) <= DEEP and exact.fits_single:
        rough = Bounds.of(network, np.float32)
    while len(waiting):
        tiles, waiting = (waiting.select(slice(*part)) for part in ((AT_ONCE,), (AT_ONCE, None)))
        ranges, undecided = (rough if tiles.half.min() > 2.0**-ROUGH else exact)(tiles)
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
    if len(network.slopes) > DEEP:
        chosen = undecided & ((np.count_nonzero(ranges[0].folding, axis=0) <= DEEP_FOLDS) | deepest)
        for i in np.flatnonzero(chosen).tolist():
            most = network.neurons if deepest[i] else DEEP_FOLDS
            nets = simplified(network, tiles.select(slice(i, i + 1)), most)
            if nets is not None:
                yield i, nets
        return
    folds = sum(np.count_nonzero(part.folding, axis=0) for part in ranges[:-1])
    chosen = np.flatnonzero(undecided & ((folds <= FOLDS) | deepest))
    step = max(1, BLOCK // max(map(len, network.biases)))
    for some in (chosen[k : k + step] for k in range(0, len(chosen), step)):
        nets = small_networks(network, tiles.select(some), [part.on(some) for part in ranges])
        yield from ((i, [net]) for i, net in zip(some.tolist(), nets, strict=True))
