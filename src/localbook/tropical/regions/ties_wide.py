"""Ties of a wide network on the square: tile by tile, on each of which it is a small network."""

from dataclasses import replace

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.networks import AffineLayer, ReLUNetwork
from localbook.tropical.regions.simplified import simplified
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.wide import Tiles, tiles_with_ties
from localbook.tropical.tolerance import TOLERANCE


def ties_by_tiles(network: ReLUNetwork) -> Ties:
    """Return all ties of a network of two inputs on [-1, 1]^2.

    Bounds find the tiles that can have ties (:mod:`localbook.tropical.regions.wide`). On
    each the network equals one of few neurons (:mod:`localbook.tropical.regions.simplified`), whose
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
        ends=_place(found.ends[..., own], tile),
        classes=found.classes[own],
        areas=[_place(area, tile) for area in found.areas],
    )


def _place(points: Floats, tile: Tiles) -> Floats:
    shape = (2,) + (1,) * (points.ndim - 1)
    return tile.centre.reshape(shape) + tile.half.reshape(shape) * points
