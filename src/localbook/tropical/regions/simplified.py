"""A wide network on a small box: the few neurons that change sign there are all that is left."""

from collections.abc import Sequence

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.networks import AffineLayer
from localbook.tropical.regions.cells import Layer
from localbook.tropical.regions.wide import Ranges

LIFT = 2.0
"""Added to the coordinates, which lie in [-1, 1], so that ReLUs let them pass."""


def simplified(
    layers: Sequence[AffineLayer], centre: Floats, half: Floats, ranges: Sequence[Ranges]
) -> list[Layer]:
    """Return the network u -> layers(centre + half u) for u in [-1, 1]^2, with few neurons.

    Neurons that keep their sign are affine there and fold into the weights. Those that change it
    stay, and so do the values of the layers before, which pass the ReLUs unchanged because they are
    not negative. Layers without a neuron that changes its sign are gone.

    Parameters
    ----------
    layers : sequence of AffineLayer
        With ReLUs between them; the first takes two inputs.
    centre, half : ndarray (2,)
    ranges : sequence of Ranges
        Of all layers on the box, each array (width,). Their sizes go with the offsets, since what
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
