import numpy as np
import pytest
import torch
from hypothesis import given, settings

from localbook.errors import ConfigError, GeometryError
from localbook.tropical import ReLUNetwork, decision_boundary, linear_regions, plane_through
from tests.tropical.networks import random_network, small_integer_networks
from tests.tropical.reference_cells import area, contains, distance_to_segments, tie_points

BOX = ((-2.0, 1.5), (-1.0, 2.0))


def balanced(*widths, seed=0):
    """Return a random network all of whose classes tie at a point of the box."""
    network = random_network(*widths, seed=seed)
    bias = network.biases[-1] - network([[0.1, 0.2]])[0]
    return ReLUNetwork(network.weights, (*network.biases[:-1], bias))


def assert_top_ties(network, boundary, box, tolerance):
    """Check that the two classes tie, and no class is above them, at points of the segments.

    Differences count relative to the largest score on a coarse grid of the box.
    """
    grid = np.stack(np.meshgrid(*(np.linspace(*side, 9) for side in box)), axis=-1)
    scale = np.abs(network(grid.reshape(-1, 2))).max()
    for t in (0.0, 0.37, 1.0):
        points = (1 - t) * boundary.segments[:, 0] + t * boundary.segments[:, 1]
        scores = network(points)
        tied = np.take_along_axis(scores, boundary.classes, axis=1)
        assert (scores.max(axis=1) - tied.min(axis=1)).max() <= tolerance * scale


def assert_equal_to_reference(network, box, boundary=None):
    """Compare a boundary, by default that of the network, with all activation patterns."""
    boundary = boundary or decision_boundary(network, box)
    if len(boundary.segments):
        assert_top_ties(network, boundary, box, 1e-13)
    points, pairs, areas = tie_points(network, box)
    for pair in set(areas) | set(map(tuple, boundary.tied_classes)):
        found = [
            area(polygon)
            for polygon, classes in zip(boundary.tied, boundary.tied_classes, strict=True)
            if tuple(classes) == pair
        ]
        assert sum(found) == pytest.approx(areas.get(pair, 0), abs=1e-9)
    for point, pair in zip(points, pairs, strict=True):
        same = (boundary.classes == pair).all(axis=1)
        near = distance_to_segments(point, boundary.segments[same]) < 1e-7
        assert near or any(
            contains(polygon, point)
            for polygon, classes in zip(boundary.tied, boundary.tied_classes, strict=True)
            if (classes == pair).all()
        )


@pytest.mark.parametrize("widths", [(2, 8, 2), (2, 7, 4), (2, 4, 4, 2), (2, 3, 3, 3, 3), (2, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_no_tie_of_any_activation_pattern_is_missed(widths, seed):
    assert_equal_to_reference(balanced(*widths, seed=seed), BOX)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(small_integer_networks(classes=(2, 3)))
def test_degenerate_networks_miss_no_tie_either(network):
    assert_equal_to_reference(network, ((-3, 3), (-2, 3)))


WIDE = [(2, 300, 2), (2, 100, 10), (2, 32, 32, 32, 2), (2, 20, 60, 20, 5), (2, 128, 128, 2)]


@pytest.mark.parametrize("widths", WIDE)
def test_classes_tie_to_the_last_digits(widths):
    network = balanced(*widths, seed=1)
    boundary = decision_boundary(network, BOX)
    assert len(boundary.segments) > 20
    assert_top_ties(network, boundary, BOX, 1e-13)


@pytest.mark.parametrize("widths", WIDE)
def test_curves_only_end_on_the_box_or_on_each_other(widths):
    boundary = decision_boundary(balanced(*widths, seed=2), BOX)
    ends = boundary.segments.reshape(-1, 2)
    low, high = np.array(BOX).T
    inner = (np.abs(ends - low).min(axis=1) > 1e-9) & (np.abs(ends - high).min(axis=1) > 1e-9)
    _, first, count = np.unique(ends.round(9), axis=0, return_index=True, return_counts=True)
    assert (count[inner[first]] >= 2).all()
    assert inner[first].sum() > 20


@pytest.mark.parametrize("widths", WIDE)
def test_every_change_of_class_on_a_fine_grid_has_its_segment(widths):
    network = balanced(*widths, seed=3)
    boundary = decision_boundary(network, BOX)
    x, y = np.linspace(*BOX[0], 121), np.linspace(*BOX[1], 121)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    top = network(grid.reshape(-1, 2)).argmax(axis=1).reshape(121, 121)
    row, column = np.nonzero(top[:, 1:] != top[:, :-1])
    assert len(row) > 10
    start, stop = grid[row, column], grid[row, column + 1]
    for _ in range(40):  # bisection for a change of class on the grid's edge
        middle = (start + stop) / 2
        same = network(middle).argmax(axis=1) == top[row, column]
        start, stop = np.where(same[:, None], middle, start), np.where(same[:, None], stop, middle)
    assert max(distance_to_segments(p, boundary.segments) for p in start) < 1e-9


def test_the_segments_of_one_hidden_layer_end_on_folds():
    network = balanced(2, 50, 2, seed=4)
    boundary = decision_boundary(network, BOX)
    ends = boundary.segments.reshape(-1, 2)
    on_fold = np.abs(ends @ network.weights[0].T + network.biases[0]).min(axis=1) < 1e-12
    low, high = np.array(BOX).T
    on_box = np.minimum(np.abs(ends - low), np.abs(ends - high)).min(axis=1) < 1e-12
    assert (on_fold | on_box).all()
    middles = boundary.segments.mean(axis=1)
    patterns = network.pattern(middles)
    assert len(np.unique(patterns, axis=0)) == len(middles)  # one segment a region


def test_a_linear_classifier_has_three_rays():
    angles = np.array([0, 2, 4]) * np.pi / 3
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    boundary = decision_boundary(ReLUNetwork((rows,), (np.zeros(3),)), ((-1, 1), (-1, 1)))
    assert sorted(map(tuple, boundary.classes)) == [(0, 1), (0, 2), (1, 2)]
    assert np.linalg.norm(boundary.segments, axis=2).min(axis=1) == pytest.approx(0, abs=1e-12)


def test_classes_that_touch_along_a_fold_are_reported_once():
    # f_0 - f_1 = |x| is zero on the line x = 0, where both sides are class 0.
    network = ReLUNetwork(
        (np.array([[1.0, 0], [-1, 0]]), np.array([[1.0, 1], [0, 0]])), (np.zeros(2), np.zeros(2))
    )
    boundary = decision_boundary(network, ((-1, 2), (-1, 1)))
    np.testing.assert_allclose(np.sort(boundary.segments[0], axis=0), [[0, -1], [0, 1]], atol=1e-15)
    assert len(boundary.segments) == 1


def test_a_dead_cone_is_an_area_of_ties():
    # Both neurons are off where x <= 0 and y <= 0: there f_0 = f_1 = 0 (facts about the theorem).
    network = ReLUNetwork((np.eye(2), np.array([[1.0, -1], [0, 0]])), (np.zeros(2), np.zeros(2)))
    boundary = decision_boundary(network, ((-1, 1), (-1, 1)))
    (area,) = boundary.tied
    assert boundary.tied_classes.tolist() == [[0, 1]]
    assert {tuple(p) for p in area.round(12) + 0.0} == {(-1, -1), (0, -1), (0, 0), (-1, 0)}
    diagonal = np.abs(boundary.segments[..., 0] - boundary.segments[..., 1]).max(axis=1) < 1e-12
    assert boundary.segments[diagonal].max() == pytest.approx(1)


def test_a_tied_area_below_a_third_class_is_not_boundary():
    # Classes 0 and 1 are 0 where x <= 0; class 2 is y and so above them where y > 0.
    first = np.array([[1.0, 0], [0, 1], [0, -1]])
    last = np.array([[1.0, 0, 0], [2, 0, 0], [0, 1, -1]])
    boundary = decision_boundary(
        ReLUNetwork((first, last), (np.zeros(3), np.zeros(3))), ((-1, 1), (-1, 1))
    )
    assert np.concatenate(boundary.tied).max() == pytest.approx(0)
    assert (boundary.tied_classes == [0, 1]).all()


@pytest.mark.parametrize("gap", [1.0, -1e-3])
def test_a_constant_network_has_no_boundary(gap):
    network = ReLUNetwork((np.zeros((4, 2)), np.ones((2, 4))), (np.ones(4), np.array([0, gap])))
    boundary = decision_boundary(network, BOX)
    assert boundary.segments.shape == (0, 2, 2)
    assert boundary.classes.shape == (0, 2)
    assert boundary.tied == ()


def test_dead_repeated_and_parallel_neurons_change_nothing():
    network = balanced(2, 12, 3, seed=6)
    a, c, last = network.weights[0], network.biases[0], network.weights[1]
    rows = np.concatenate([a, a, np.zeros((3, 2)), 2 * a])
    shifts = np.concatenate([c, c, -np.ones(3), 2 * c])
    outgoing = np.concatenate([last / 3, last / 3, np.ones((3, 3)), last / 6], axis=1)
    plain = decision_boundary(network, BOX)
    padded = decision_boundary(ReLUNetwork((rows, outgoing), (shifts, network.biases[1])), BOX)
    assert len(padded.segments) == len(plain.segments)
    length = [np.linalg.norm(np.diff(b.segments, axis=1), axis=2).sum() for b in (plain, padded)]
    assert length[0] == pytest.approx(length[1], rel=1e-12)


def test_what_all_classes_share_is_not_cut_along():
    shared = ReLUNetwork(
        (np.random.default_rng(0).normal(size=(30, 2)), np.ones((2, 30))),
        (np.zeros(30), np.zeros(2)),
    )
    line = np.array([[1.0, 2], [-1, -2]])
    network = ReLUNetwork(
        (
            np.concatenate([shared.weights[0], line]),
            np.concatenate([shared.weights[1], [[1.0, -1], [0, 0]]], axis=1),
        ),
        (np.zeros(32), np.zeros(2)),
    )
    assert len(decision_boundary(network, BOX).segments) == 1


def test_a_slice_through_three_points_is_the_boundary_on_the_plane():
    network = random_network(9, 20, 20, 4, seed=1)
    plane = plane_through(*np.random.default_rng(1).normal(size=(3, 9)))
    bias = network.biases[-1] - network(plane.lift([[0.0, 0.0]]))[0]
    network = ReLUNetwork(network.weights, (*network.biases[:-1], bias))
    boundary = decision_boundary(plane.restrict(network), ((-3, 3), (-3, 3)))
    assert len(boundary.segments) > 10
    scores = network(plane.lift(boundary.segments.reshape(-1, 2)))
    tied = np.take_along_axis(scores, np.repeat(boundary.classes, 2, axis=0), axis=1)
    assert (scores.max(axis=1) - tied.min(axis=1)).max() < 1e-13 * np.abs(scores).max()


def test_a_torch_model_is_converted():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0], [0, 1]]))
        model[0].bias.zero_()
    boundary = decision_boundary(model, ((-1, 1), (-1, 1)))
    np.testing.assert_allclose(np.sort(boundary.segments[0], axis=0), [[-1, -1], [1, 1]])


def test_classes_with_the_same_output_rows_tie_all_over_where_they_lead():
    # The scores x+, y+, y+ and, pruned away twice, 0, 0: nothing leads in the third quadrant.
    network = ReLUNetwork(
        (np.eye(2), np.array([[1.0, 0], [0, 1], [0, 1], [0, 0], [0, 0]])),
        (np.zeros(2), np.zeros(5)),
    )
    box = ((-1, 1), (-1, 1))
    assert_equal_to_reference(network, box)
    boundary = decision_boundary(network, box)
    pairs = {tuple(pair) for pair in boundary.classes.tolist()}
    assert {(0, 1), (0, 2)} <= pairs
    sizes = dict.fromkeys(map(tuple, boundary.tied_classes.tolist()), 0.0)
    for polygon, pair in zip(boundary.tied, boundary.tied_classes.tolist(), strict=True):
        sizes[tuple(pair)] += area(polygon)
    assert sizes[1, 2] == pytest.approx(2.5)  # x < y in the first quadrant, the second and third
    assert sizes[3, 4] == sizes[0, 1] == pytest.approx(1)


def test_all_classes_alike_tie_on_the_whole_box():
    network = ReLUNetwork((np.eye(2), np.ones((2, 2))), (np.zeros(2), np.ones(2)))
    boundary = decision_boundary(network, BOX)
    assert sum(map(area, boundary.tied)) == pytest.approx(10.5)
    assert not len(boundary.segments)


@pytest.mark.parametrize("function", [decision_boundary, linear_regions])
def test_one_input_needs_a_second_one(function):
    network = random_network(1, 3, 2)
    with pytest.raises(ConfigError, match=r"pictures need two, so add one.*network\.after"):
        function(network, BOX)
    assert len(linear_regions(network.after([[1, 0]], [0]), BOX)) > 1


def test_a_box_without_area_is_refused():
    with pytest.raises(GeometryError, match="has no area"):
        decision_boundary(random_network(2, 3, 2), ((0, 1), (1, 1)))
