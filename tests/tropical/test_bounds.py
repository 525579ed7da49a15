"""What wide networks do on tiles stays within bounds, in single as in double precision."""

import numpy as np
import pytest

from localbook.tropical import ReLUNetwork
from localbook.tropical.regions import Bounds, Tiles
from tests.tropical.networks import random_network


def degenerate(scale):
    """Return a network with dead, all-zero and equal neurons, whose classes all tie at 0."""
    network = random_network(2, 30, 20, 20, 4)
    weights = [weight.copy() for weight in network.weights]
    biases = [bias.copy() for bias in network.biases]
    biases[0][0] = -100
    weights[1][1], biases[1][1] = 0, 0
    weights[2][2], biases[2][2] = weights[2][3], biases[2][3]
    weights[0] *= scale
    biases = [bias * scale for bias in biases]
    slopes = [np.where(np.arange(len(bias)) < 15, 0, 0.1) for bias in biases[:-1]]
    network = ReLUNetwork(tuple(weights), tuple(biases), tuple(slopes))
    biases[-1] -= network(np.zeros((1, 2)))[0]
    return ReLUNetwork(network.weights, tuple(biases), network.slopes)


def grid(halvings):
    """Return the tiles of the square that has been quartered so often."""
    tiles = Tiles(np.zeros((2, 1)), np.ones((2, 1)))
    for _ in range(halvings):
        tiles = tiles.quarters()
    return tiles


def hidden(network, points):
    """Return all pre-activations and the scores (N, width) at points (N, 2)."""
    found, out = [], points
    for weight, bias, below in zip(
        network.weights, network.biases, (*network.slopes, 1), strict=True
    ):
        found.append(out @ weight.T + bias)
        out = np.where(found[-1] > 0, 1, below) * found[-1]
    return found


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1, 1e-30, 1e12])
def test_what_bounds_say_is_so(kind, scale):
    network = degenerate(scale)
    rng, tiles = np.random.default_rng(0), grid(3)
    ranges, undecided = Bounds.of(network, kind)(tiles)
    assert undecided.any()
    for i in range(len(tiles)):
        points = tiles.centre[:, i] + tiles.half[:, i] * rng.uniform(-1, 1, (300, 2))
        *values, scores = hidden(network, points)
        for value, part in zip(values, ranges, strict=False):
            assert (value >= 0)[:, part.active[:, i]].all()
            off = ~part.active[:, i] & ~part.folding[:, i]
            assert (value <= 0)[:, off].all()
        if not undecided[i]:
            assert len(np.unique(scores.argmax(axis=1))) == 1


def test_single_precision_decides_nearly_as_much():
    network = degenerate(1)
    tiles = grid(4)
    found = [Bounds.of(network, kind)(tiles) for kind in (np.float32, np.float64)]
    folds = [sum(np.count_nonzero(part.folding) for part in ranges) for ranges, _ in found]
    (rough, exact) = (np.count_nonzero(undecided) for _, undecided in found)
    assert 0 < exact <= rough <= 1.05 * exact < len(tiles)
    assert folds[1] <= folds[0] <= 1.01 * folds[1]


@pytest.mark.parametrize("scale", [1e-60, 1e-30, 1e-3, 1, 1e3, 1e30, 1e60])
def test_networks_out_of_range_are_not_for_single_precision(scale):
    assert Bounds.of(degenerate(scale)).fits_single == (1e-5 < scale < 1e5)
