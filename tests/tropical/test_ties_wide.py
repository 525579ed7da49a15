"""The way through tiles finds what the way without finds, and what a slow reference finds."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from localbook.errors import GeometryError
from localbook.tropical.networks import AffineLayer
from localbook.tropical.regions import boundary
from localbook.tropical.regions import wide as tiles
from localbook.tropical.regions.boundary import decision_boundary
from localbook.tropical.regions.simplified import simplified
from localbook.tropical.regions.wide import Ranges, Tiles, bounds, tiles_with_ties
from tests.tropical.networks import random_network, small_integer_networks
from tests.tropical.test_boundary import BOX, assert_equal_to_reference, balanced


@pytest.fixture(autouse=True)
def everything_is_wide(monkeypatch):
    """Take the way through tiles for small networks too, and halve them until hardly one folds."""
    monkeypatch.setattr(boundary, "_wide", lambda network: True)
    monkeypatch.setattr(tiles, "FOLDS", 2)
    monkeypatch.setattr(tiles, "DEEPEST", 5)


def layers(network):
    return [AffineLayer(w, b) for w, b in zip(network.weights, network.biases, strict=True)]


@pytest.mark.parametrize("widths", [(2, 8, 2), (2, 7, 4), (2, 4, 4, 2), (2, 3, 3, 3, 3)])
@pytest.mark.parametrize("seed", range(3))
def test_no_tie_of_any_activation_pattern_is_missed(widths, seed):
    assert_equal_to_reference(balanced(*widths, seed=seed), BOX)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(small_integer_networks(classes=(2, 3)))
def test_degenerate_networks_miss_no_tie_either(network):
    try:
        assert_equal_to_reference(network, BOX)
    except GeometryError:
        assume(False)  # two classes with the same weights are refused


@pytest.mark.parametrize("widths", [(2, 40, 3), (2, 20, 20, 2), (2, 12, 12, 12, 4)])
def test_both_ways_find_curves_of_the_same_length(widths, monkeypatch):
    network = balanced(*widths)
    by_tiles = decision_boundary(network, BOX)
    monkeypatch.setattr(boundary, "_wide", lambda network: False)
    whole = decision_boundary(network, BOX)
    assert len(by_tiles.segments) > len(whole.segments) > 10  # cut where tiles end
    for pair in np.unique(whole.classes, axis=0):
        assert length(by_tiles, pair) == pytest.approx(length(whole, pair), rel=1e-10)


def length(found, pair):
    own = found.segments[(found.classes == pair).all(axis=1)]
    return np.linalg.norm(own[:, 1] - own[:, 0], axis=1).sum()


def test_a_tie_along_the_sides_of_tiles_is_reported_once(monkeypatch):
    monkeypatch.setattr(tiles, "FOLDS", -1)  # halve to the end
    network = random_network(2, 2, 2)
    network.weights[0][:] = np.eye(2)
    network.biases[0][:] = 0
    network.weights[1][:] = [[1, 0], [0, 0]]  # relu(x) - 0 and a line y = 0.5 below
    network.biases[1][:] = [0, 0.5]
    found = decision_boundary(network, ((-1.0, 1.0), (-1.0, 1.0)))
    assert length(found, [0, 1]) == pytest.approx(2, rel=1e-12)  # x = 1/2, a side of tiles
    assert (found.segments[..., 0] == 0.5).all()


@pytest.mark.parametrize("seed", range(5))
def test_bounds_hold_on_samples_of_every_tile(seed):
    network = random_network(2, 9, 8, 7, 3, seed=seed)
    rng = np.random.default_rng(seed)
    some = Tiles(rng.uniform(-1, 1, (2, 20)), rng.uniform(0.01, 0.4, (2, 20)))
    ranges, undecided = bounds(layers(network), some)
    for i in range(20):
        x = some.centre[:, i] + some.half[:, i] * rng.uniform(-1, 1, (200, 2))
        hidden = x
        for layer, found in zip(layers(network), ranges, strict=True):
            value = hidden @ layer.weight.T + layer.bias
            assert (value >= found.low[:, i]).all()
            assert (value <= found.high[:, i]).all()
            hidden = np.maximum(value, 0)
        assert undecided[i] or len(np.unique(value.argmax(axis=1))) == 1
    assert not undecided.all()


def outputs(small, u):
    for weight, offset in small[:-1]:
        u = np.maximum(u @ weight.T + offset[0], 0)
    return u @ small[-1][0].T + small[-1][1][0]


def test_most_small_tiles_away_from_ties_are_settled():
    """Bounds that hold but settle nothing would pass every other test, and take for ever."""
    network = balanced(2, 20, 20, 3)
    grid = np.stack(np.meshgrid(*[np.linspace(-0.99, 0.99, 50)] * 2)).reshape(2, -1)
    undecided = bounds(layers(network), Tiles(grid, np.full_like(grid, 0.02)))[1]
    scores = np.sort(network(grid.T), axis=1)
    assert undecided.mean() < 2 * np.mean(scores[:, -1] - scores[:, -2] < 0.02)


@pytest.mark.parametrize("widths", [(2, 3), (2, 30, 3), (2, 15, 15, 2), (2, 9, 9, 9, 9, 4)])
def test_a_simplified_network_is_the_network_on_its_tile(widths):
    network = balanced(*widths)
    rng = np.random.default_rng(0)
    for tile, ranges in tiles_with_ties(layers(network)):
        centre, half = tile.centre[:, 0], tile.half[:, 0]
        small = simplified(layers(network), centre, half, ranges)
        u = rng.uniform(-1, 1, (50, 2))
        np.testing.assert_allclose(outputs(small, u), network(centre + half * u), atol=1e-12)
        folding = sum(np.count_nonzero(r.folding) for r in ranges[:-1])
        assert sum(len(weight) for weight, _ in small[:-1]) <= (folding + 2) * (len(widths) - 2)


def test_neurons_that_never_fold_are_gone():
    network = random_network(2, 6, 6, 3)
    one = np.ones(6)
    sure = [Ranges(-2 * one, -one, one), Ranges(one, 2 * one, one), Ranges(-one, one, np.ones(3))]
    small = simplified(layers(network), np.zeros(2), np.ones(2), sure)
    assert [weight.shape for weight, _ in small] == [(3, 2)]


def convolution(rng, side=10, channels=(3, 5), stride=2):
    """Return the matrix of a 3 x 3 convolution with padding, as a slow loop makes it."""
    kernel = rng.normal(size=(channels[1], channels[0], 3, 3))
    out = side // stride
    matrix = np.zeros((channels[1], out, out, channels[0], side, side))
    for row, column, i, j in np.ndindex(out, out, 3, 3):
        y, x = stride * row + i - 1, stride * column + j - 1
        if 0 <= y < side and 0 <= x < side:
            matrix[:, row, column, :, y, x] = kernel[:, :, i, j]
    return matrix.reshape(channels[1] * out * out, -1)


def test_products_in_blocks_are_products():
    rng = np.random.default_rng(0)
    matrix = convolution(rng)
    matrix[7] = 0  # an output that uses nothing
    layer = AffineLayer(matrix, rng.normal(size=len(matrix)))
    right, left = rng.normal(size=(matrix.shape[1], 4)), rng.normal(size=(len(matrix), 4))
    np.testing.assert_allclose(layer.product(right), matrix @ right, atol=1e-12)
    np.testing.assert_allclose(layer.spread(right), np.abs(matrix) @ right, atol=1e-12)
    np.testing.assert_allclose(layer.backward(left), matrix.T @ left, atol=1e-12)
    assert layer.blocks


def test_full_matrices_are_not_taken_apart():
    assert not AffineLayer(np.ones((200, 200)), np.zeros(200)).blocks
