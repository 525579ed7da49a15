import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.errors import ConfigError, GeometryError
from localbook.tropical import ReLUNetwork, linear_regions, plane_through
from tests.tropical.networks import random_network, small_integer_networks
from tests.tropical.reference_cells import all_regions, area

BOX = ((-2.0, 1.5), (-1.0, 2.0))


def assert_equal_to_reference(network, box):
    regions = linear_regions(network, box)
    expected = all_regions(network, box)
    bits = [tuple(int(on) for on in pattern) for pattern in regions.patterns]
    assert len(set(bits)) == len(bits)
    assert set(bits) == set(expected)
    for number, key in enumerate(bits):
        polygon, slope, shift = expected[key]
        assert regions.areas[number] == pytest.approx(area(polygon), abs=1e-9)
        np.testing.assert_allclose(regions.slopes[number], slope, atol=1e-9)
        np.testing.assert_allclose(regions.intercepts[number], shift, atol=1e-9)


@pytest.mark.parametrize("widths", [(2, 1, 2), (2, 8, 2), (2, 4, 4, 3), (2, 3, 3, 3, 1)])
@pytest.mark.parametrize("seed", range(4))
def test_regions_are_those_of_all_activation_patterns(widths, seed):
    assert_equal_to_reference(random_network(*widths, seed=seed), BOX)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(small_integer_networks())
def test_degenerate_networks_have_the_regions_of_all_activation_patterns(network):
    assert_equal_to_reference(network, ((-3, 3), (-2, 3)))


@pytest.mark.parametrize("widths", [(2, 120, 3), (2, 24, 24, 24, 2)])
def test_every_point_of_a_fine_grid_lies_in_a_region_of_its_pattern(widths):
    network = random_network(*widths, seed=5)
    regions = linear_regions(network, BOX)
    known = {pattern.tobytes() for pattern in np.packbits(regions.patterns, axis=1)}
    x, y = np.meshgrid(np.linspace(*BOX[0], 301), np.linspace(*BOX[1], 301))
    grid = np.packbits(network.pattern(np.stack([x.ravel(), y.ravel()], axis=1)), axis=1)
    assert {pattern.tobytes() for pattern in grid} <= known
    assert len(known) == len(regions)
    assert regions.areas.sum() == pytest.approx(3.5 * 3, rel=1e-12)
    assert regions.areas.min() > 0


@pytest.mark.parametrize("widths", [(2, 60, 2), (2, 16, 16, 16, 3)])
def test_affine_pieces_are_the_network_on_their_corners(widths):
    network = random_network(*widths, seed=2)
    regions = linear_regions(network, BOX)
    for polygon, slope, shift in zip(
        regions.polygons, regions.slopes, regions.intercepts, strict=True
    ):
        np.testing.assert_allclose(polygon @ slope.T + shift, network(polygon), atol=1e-12)


@pytest.mark.parametrize("widths", [(2, 60, 2), (2, 16, 16, 16, 3)])
def test_generic_neighbours_differ_in_one_neuron_and_all_sides_are_matched(widths):
    network = random_network(*widths, seed=3)
    regions = linear_regions(network, BOX)
    p, q = regions.adjacency.T
    assert (p < q).all()
    assert ((regions.patterns[p] != regions.patterns[q]).sum(axis=1) == 1).all()
    low, high = np.array(BOX).T
    on_box = (np.abs(regions.corners - low) < 1e-12) | (np.abs(regions.corners - high) < 1e-12)
    # On the box a fold's end is a corner of two regions; four corners belong to one region each.
    outer_sides = (on_box.any(axis=1).sum() - 4) / 2 + 4
    assert len(regions.corners) == 2 * len(regions.adjacency) + outer_sides
    # Euler: corners - sides + regions = 1, where sides are inner or on the box.
    unique = len(np.unique(regions.corners.round(9), axis=0))
    assert unique - (len(regions.adjacency) + outer_sides) + len(regions) == 1


def test_four_quadrants_know_their_neighbours():
    network = ReLUNetwork((np.eye(2), np.ones((1, 2))), (np.zeros(2), np.zeros(1)))
    regions = linear_regions(network, ((-1, 1), (-1, 1)))
    patterns = [tuple(pattern) for pattern in regions.patterns]
    pairs = {frozenset((patterns[p], patterns[q])) for p, q in regions.adjacency}
    ring = [(True, True), (False, True), (False, False), (True, False)]
    assert pairs == {frozenset((ring[k], ring[k - 1])) for k in range(4)}


@pytest.mark.parametrize("count", [3, 40, 300])
def test_lines_through_one_point_make_twice_as_many_regions(count):
    rng = np.random.default_rng(count)
    network = ReLUNetwork(
        (rng.normal(size=(count, 2)), np.ones((1, count))), (np.zeros(count), [0])
    )
    assert len(linear_regions(network, ((-1.3, 1), (-1, 1.7)))) == 2 * count


def test_repeated_and_parallel_neurons_cut_as_often_as_there_are_lines():
    rows = np.repeat([[1.0, 0], [-2, 0], [0, 1]], 4, axis=0)
    shifts = np.array([0.0, 0, 0, 0, 1, 1, 1, 1, 0.5, 0.5, -0.5, -0.5])
    network = ReLUNetwork((rows, np.ones((2, 12))), (shifts, np.zeros(2)))
    regions = linear_regions(network, ((-1, 1), (-1, 1)))
    assert len(regions) == 9
    assert len(regions.adjacency) == 12


def test_a_network_without_hidden_layers_or_folds_is_one_region():
    linear = ReLUNetwork((np.array([[1.0, 2.0]]),), (np.array([3.0]),))
    dead = ReLUNetwork((np.zeros((5, 2)), np.ones((2, 5))), (-np.ones(5), np.arange(2.0)))
    for network in (linear, dead):
        regions = linear_regions(network, BOX)
        assert len(regions) == 1
        assert regions.adjacency.shape == (0, 2)
        assert regions.areas == pytest.approx([10.5])
    assert not regions.patterns.any()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.floats(1e-6, 1e6), st.floats(-100, 100), st.floats(-100, 100))
def test_moving_and_scaling_the_plane_changes_nothing(scale, dx, dy):
    network = random_network(2, 6, 5, 2, seed=9)
    shift = np.array([dx, dy]) * scale
    moved = network.after(np.eye(2) / scale, -shift / scale)
    (x0, x1), (y0, y1) = BOX
    box = (
        (x0 * scale + shift[0], x1 * scale + shift[0]),
        (y0 * scale + shift[1], y1 * scale + shift[1]),
    )
    here, there = linear_regions(network, BOX), linear_regions(moved, box)
    assert len(here) == len(there)
    order, other = np.lexsort(here.patterns.T), np.lexsort(there.patterns.T)
    assert (here.patterns[order] == there.patterns[other]).all()
    np.testing.assert_allclose(here.areas[order], there.areas[other] / scale**2, atol=1e-8)


def test_a_slice_of_more_inputs_is_the_network_on_the_plane():
    network = random_network(7, 5, 4, 3, seed=4)
    a, b, c = np.random.default_rng(0).normal(size=(3, 7))
    plane = plane_through(a, b, c)
    regions = linear_regions(plane.restrict(network), ((-6, 6), (-6, 6)))
    assert len(regions) > 10
    scores = np.einsum("mcd,md->mc", regions.slopes, regions.centres) + regions.intercepts
    np.testing.assert_allclose(scores, network(plane.lift(regions.centres)), atol=1e-12)
    assert (regions.patterns == network.pattern(plane.lift(regions.centres))).all()


def test_a_torch_model_is_converted():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    regions = linear_regions(model, BOX)
    assert len(regions) == len(all_regions(regions.network, BOX))


@pytest.mark.parametrize("box", [((0, 0), (0, 1)), ((0, 1), (2, 1))])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(GeometryError, match="has no area: give x0 < x1"):
        linear_regions(random_network(2, 3, 2), box)


@pytest.mark.parametrize("box", [((0, np.nan), (0, 1)), (0, 1), ((0, np.inf), (0, 1))])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(ConfigError, match="finite numbers"):
        linear_regions(random_network(2, 3, 2), box)


def test_more_than_two_inputs_need_a_plane():
    with pytest.raises(ConfigError, match=r"3 inputs.*plane_through"):
        linear_regions(random_network(3, 3, 2), BOX)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(small_integer_networks(), st.integers(5, 16), st.integers(0, 2**32))
def test_nearly_degenerate_networks_still_tile_the_box(network, digits, seed):
    # Folds that are almost parallel, concurrent or equal, around and below the size of rounding.
    rng = np.random.default_rng(seed)
    weights = tuple(w + 10.0**-digits * rng.normal(size=w.shape) for w in network.weights)
    biases = tuple(b + 10.0**-digits * rng.normal(size=b.shape) for b in network.biases)
    shaken = ReLUNetwork(weights, biases)
    regions = linear_regions(shaken, ((-3, 3), (-2, 3)))
    assert regions.areas.sum() == pytest.approx(30, rel=1e-9)
    owner = np.repeat(np.arange(len(regions)), np.diff(regions.start))
    pieces = np.einsum("ncd,nd->nc", regions.slopes[owner], regions.corners)
    pieces += regions.intercepts[owner]
    np.testing.assert_allclose(pieces, shaken(regions.corners), atol=1e-9)


@pytest.mark.parametrize("seed", [40, 45, 50, 67])
def test_a_needle_between_two_nearly_equal_folds_is_cut_across(seed):
    # Two pairs of folds are equal up to 1e-13, and others cross the needle between them.
    rows = np.array(
        [[3, -2.5, -0.5], [3, 2.5, 0.5], [3, -2.5, -0.5], [3, -5, -1], [6, 5, 1], [-3, -2.5, -0.5]]
    )
    rows += 1e-13 * np.random.default_rng(seed).normal(size=rows.shape)
    network = ReLUNetwork((rows[:, :2], np.ones((1, 6))), (rows[:, 2], np.zeros(1)))
    regions = linear_regions(network, ((-1, 1), (-1, 1)))
    for polygon, slope, shift in zip(
        regions.polygons, regions.slopes, regions.intercepts, strict=True
    ):
        np.testing.assert_allclose(polygon @ slope.T + shift, network(polygon), atol=1e-11)
