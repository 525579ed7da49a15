"""After one hidden layer, sorting along folds finds what cutting finds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.tropical import ReLUNetwork, linear_regions
from localbook.tropical.regions import layers_of, regions_by_lines, ties_by_lines, ties_on_square
from tests.tropical.networks import random_network, small_integer_networks
from tests.tropical.test_ties_wide import length

PAIR = np.array([0, 1])


def both(network):
    layers = layers_of(network)
    return ties_by_lines(*layers), ties_on_square(layers)


def assert_same_segments(found, expected):
    """Compare two sets of segments, up to order and direction."""
    pairs = []
    for ties in (found, expected):
        ends = np.sort(ties.ends.transpose(2, 1, 0).round(9) @ [1, 1j], axis=1)
        pairs.append(ends[np.lexsort(ends.T)])
    assert found.classes.shape == expected.classes.shape
    np.testing.assert_allclose(*pairs, atol=1e-8)


@pytest.mark.parametrize("neurons", [5, 12, 30, 200])
@pytest.mark.parametrize("seed", range(4))
def test_in_general_position_nothing_is_left_to_cutting(neurons, seed):
    slopes = (np.random.default_rng(seed).choice([0, 0, 0.2, 1, -1, 1.5], neurons),)
    network = replace(random_network(2, neurons, 2, seed=seed), slopes=slopes)
    biases = (network.biases[0], network.biases[1] - network([[0.1, 0.2]])[0])
    found, expected = both(replace(network, biases=biases))
    assert len(found.classes)
    assert_same_segments(found, expected)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(small_integer_networks(classes=(2, 2)), st.sampled_from([0, 1e-12, 1e-9, 1e-6]))
def test_degenerate_networks_are_left_to_cutting_or_right(network, noise):
    if len(network.weights) > 2:
        return
    rng = np.random.default_rng(0)
    weights = tuple(w + noise * rng.normal(size=w.shape) for w in network.weights)
    found, expected = both(ReLUNetwork(weights, network.biases))
    if found is not None:
        lengths = [length(t.ends, t.classes, PAIR) for t in (found, expected)]
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-9, abs=1e-9)
        assert not expected.areas


@pytest.mark.parametrize(
    ("rows", "biases", "votes"),
    [
        ([[1, 0], [1, 0]], [0, 0], [1, -2]),  # one fold twice
        ([[1, 0], [0, 1], [1, 1]], [0, 0, 0], [1, 1, -1]),  # three through a point
        ([[1, 1], [1, -1]], [0, 0], [1, -1]),  # through corners
        ([[1, 0], [-1, 0]], [0, 0], [1, 1]),  # a tie along a fold
        ([[1, 0], [0, 1]], [0, 0], [1, -1]),  # a tie all over a quadrant
        ([[1, 0], [0, 0]], [1, 1], [0, 0]),  # everywhere
    ],
)
def test_special_positions_are_left_to_cutting(rows, biases, votes):
    out = np.array([votes, np.zeros(len(votes))])
    network = ReLUNetwork((np.array(rows, float), out), (np.array(biases, float), np.zeros(2)))
    assert both(network)[0] is None


def test_very_many_folds_are_left_to_cutting():
    assert both(random_network(2, 1200, 2))[0] is None


def deeper(network):
    """Return the same function with a second layer that only passes its values on."""
    one = np.eye(network.classes)
    return ReLUNetwork(
        (*network.weights, one),
        (*network.biases, np.zeros(network.classes)),
        (*network.slopes, np.ones(network.classes)),
    )


def assert_same_regions(network, box):
    found, expected = linear_regions(network, box), linear_regions(deeper(network), box)
    assert len(found) == len(expected)
    orders = [np.lexsort(r.centres.round(7).T) for r in (found, expected)]
    for name in ("centres", "areas", "slopes", "intercepts"):
        one, other = (getattr(r, name)[o] for r, o in zip((found, expected), orders, strict=True))
        np.testing.assert_allclose(one, other, atol=1e-8)
    assert (found.patterns[orders[0]] == expected.patterns[orders[1]]).all()
    assert found.areas.min() > 0


@pytest.mark.parametrize("neurons", [1, 2, 5, 40, 250])
@pytest.mark.parametrize("seed", range(3))
def test_regions_are_the_same(neurons, seed):
    slopes = (np.random.default_rng(seed).choice([0, 0, 0.2, 1, -1], neurons),)
    network = replace(random_network(2, neurons, 3, seed=seed), slopes=slopes)
    assert_same_regions(network, ((-1.5, 2), (-1, 1.7)))
    assert regions_by_lines(*layers_of(network)) is not None


def test_a_region_may_have_very_many_sides():
    turns = np.linspace(0, 2 * np.pi, 201)[1:]
    folds = np.column_stack([np.cos(turns), np.sin(turns)])
    network = ReLUNetwork((folds, np.ones((1, 200))), (np.full(200, -0.7), np.zeros(1)))
    assert regions_by_lines(*layers_of(network)) is not None
    regions = linear_regions(network, ((-1, 1), (-1, 1)))
    assert_same_regions(network, ((-1, 1), (-1, 1)))
    assert np.diff(regions.start).max() == 200


def test_folds_in_special_positions_have_no_sorted_regions():
    for rows, biases in [([[1, 0], [1, 0]], [0, 0]), ([[1, 0], [0, 1], [1, 1]], [0, 0, 0]),
                         ([[1, 1]], [0]), ([[1, 0]], [-1 + 1e-12])]:  # fmt: skip
        shape = np.ones((1, len(rows)))
        network = ReLUNetwork((np.array(rows, float), shape), (np.array(biases, float), [0.0]))
        assert regions_by_lines(*layers_of(network)) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(small_integer_networks(), st.sampled_from([0, 1e-12, 1e-7]))
def test_regions_of_degenerate_networks_are_the_same(network, noise):
    if len(network.weights) > 2:
        return
    rng = np.random.default_rng(0)
    weights = tuple(w + noise * rng.normal(size=w.shape) for w in network.weights)
    box, noisy = ((-3, 3), (-2, 3)), ReLUNetwork(weights, network.biases)
    found, expected = linear_regions(noisy, box), linear_regions(deeper(noisy), box)
    assert sum(found.areas) == pytest.approx(30)
    big = [np.sort(r.areas[r.areas > 1e-5]) for r in (found, expected)]
    assert big[0] == pytest.approx(big[1], abs=1e-6)
