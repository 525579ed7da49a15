"""Wide networks have the boundary of the same networks without the neurons that change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings

from localbook.tropical import ReLUNetwork, decision_boundary
from localbook.tropical.regions import layers_of, ties_by_tiles, ties_on_square
from tests.tropical.networks import small_integer_networks
from tests.tropical.test_boundary import BOX, assert_equal_to_reference, balanced


def widened(network, box, count=600):
    """Add neurons that no score reads, whose folds cut the upper right corner off a box."""
    rng = np.random.default_rng(0)
    (x0, x1), (y0, y1) = box
    rows = rng.uniform(0.5, 1, size=(count, 2)) / [x1 - x0, y1 - y0]
    shifts = rng.uniform(0, 0.3, size=count) - rows @ [x1, y1]
    weights = (
        np.vstack([network.weights[0], rows]),
        np.pad(network.weights[1], ((0, 0), (0, count))),
        *network.weights[2:],
    )
    return ReLUNetwork(weights, (np.append(network.biases[0], shifts), *network.biases[1:]))


@pytest.mark.parametrize("widths", [(2, 4, 4, 2), (2, 5, 4, 3), (2, 2, 3, 3, 3)])
@pytest.mark.parametrize("seed", range(2))
def test_no_tie_of_any_activation_pattern_is_missed(widths, seed):
    network = balanced(*widths, seed=seed)
    assert_equal_to_reference(network, BOX, decision_boundary(widened(network, BOX), BOX))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(small_integer_networks(classes=(2, 3)))
def test_degenerate_networks_miss_no_tie_either(network):
    assert_equal_to_reference(network, BOX, decision_boundary(widened(network, BOX), BOX))


def length(ends, classes, pair):
    own = ends[..., (classes == pair).all(axis=1)]
    return np.linalg.norm(own[:, 1] - own[:, 0], axis=0).sum()


@pytest.mark.parametrize("widths", [(2, 200, 200, 3), (2, 130, 130, 130, 4)])
def test_tiles_find_curves_of_the_same_length_as_the_plain_cut(widths):
    network = balanced(*widths)
    by_tiles, whole = ties_by_tiles(network), ties_on_square(layers_of(network))
    assert len(by_tiles.classes) > len(whole.classes) > 10  # cut where tiles end
    for pair in np.unique(whole.classes, axis=0):
        found, expected = (length(t.ends, t.classes, pair) for t in (by_tiles, whole))
        assert found == pytest.approx(expected, rel=1e-10)


def test_a_tie_along_the_sides_of_tiles_is_reported_once():
    box = ((-1.0, 1.0), (-1.0, 1.0))
    # relu(x) - 0.5: x = 1/2 is a side of tiles near the corner that many folds cut off
    network = ReLUNetwork(
        (np.eye(2), np.eye(2), np.array([[1.0, 0], [0, 0]])),
        (np.zeros(2), np.zeros(2), np.array([0, 0.5])),
    )
    found = decision_boundary(widened(network, box), box)
    assert len(found.segments) > 1
    lengths = np.linalg.norm(np.diff(found.segments, axis=1), axis=2)
    assert lengths.sum() == pytest.approx(2, rel=1e-12)
    assert (found.segments[..., 0] == 0.5).all()
