from itertools import pairwise, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize_scalar
from scipy.spatial import ConvexHull

from localbook.errors import ConfigError, GeometryError
from localbook.tropical import (
    ReLUNetwork,
    count_regions,
    decision_boundary,
    decision_pieces,
    decision_polynomial,
    estimate_regions,
    hypersurface,
    linear_regions,
    nearest_boundary,
    plane_through,
)
from tests.tropical.networks import random_network, small_integer_networks

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)
BOX = ((-3, 3), (-2, 3))


def length(segments):
    return sum(np.linalg.norm(b - a) for a, b in segments)


def area(polygon):
    spokes = polygon[1:] - polygon[0]
    return np.linalg.norm(np.cross(spokes[:-1], spokes[1:]).sum(axis=0)) / 2


def gap(network, points):
    """Return by how much the highest score exceeds the second."""
    scores = np.sort(network(points), axis=1)
    return scores[:, -1] - scores[:, -2]


@SETTINGS
@given(small_integer_networks(classes=(2, 3)))
def test_in_the_plane_pieces_are_the_segments_of_the_fast_way(network):
    slow, fast = decision_pieces(network, BOX), decision_boundary(network, BOX)
    pairs = {*map(tuple, slow.classes.tolist()), *map(tuple, fast.classes.tolist())}
    for pair in pairs:
        pieces = [p for p, c in zip(slow.pieces, slow.classes, strict=True) if (c == pair).all()]
        assert length(pieces) == pytest.approx(
            length(fast.segments[(fast.classes == pair).all(axis=1)]), abs=1e-9
        )
    size = sum(ConvexHull(corners).volume for corners in slow.tied)
    assert size == pytest.approx(sum(ConvexHull(corners).volume for corners in fast.tied))


@SETTINGS
@given(small_integer_networks(classes=(1, 2)))
def test_in_the_plane_all_regions_are_counted(network):
    assert count_regions(network, BOX) == len(linear_regions(network, BOX))


@pytest.mark.parametrize(("n", "p"), [(1, 9), (3, 8), (4, 7), (6, 7)])
def test_one_hidden_layer_has_as_many_regions_as_zaslavsky_says(n, p):
    network = random_network(n, p, 1, seed=n)
    assert count_regions(network, [(-1e4, 1e4)] * n) == sum(comb(p, k) for k in range(n + 1))


def has_interior(network, bits, reach):
    """Ask a linear program for a ball with this pattern in the cube."""
    slope, shift, rest, rows = np.eye(network.inputs), np.zeros(network.inputs), list(bits), []
    for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
        slope, shift = w @ slope, w @ shift + b
        on = np.array([rest.pop(0) for _ in b])
        sides = (1 - 2 * on)[:, None] * np.column_stack([slope, shift])
        rows.append(np.insert(sides, -1, np.linalg.norm(sides[:, :-1], axis=1), axis=1))
        slope, shift = on[:, None] * slope, on * shift
    rows = np.vstack(rows)
    bounds = [(-reach, reach)] * network.inputs + [(None, 1)]
    found = linprog(-np.eye(network.inputs + 1)[-1], rows[:, :-1], -rows[:, -1], bounds=bounds)
    return found.status == 0 and found.x[-1] > 1e-7


def test_a_deep_network_of_four_inputs_has_the_patterns_that_a_linear_program_finds():
    network = random_network(4, 4, 3, 1, seed=2)
    patterns = product((0, 1), repeat=7)
    expected = sum(has_interior(network, bits, reach=2) for bits in patterns)
    assert count_regions(network, [(-2, 2)] * 4) == expected == 68


def test_estimates_hold_the_number_and_are_right_on_average():
    network, box = random_network(3, 5, 4, 1, seed=0), [(-2, 2)] * 3
    exact = count_regions(network, box)
    found = [estimate_regions(network, box, samples=32, seed=seed) for seed in range(5)]
    assert sum(e.low <= exact <= e.high for e in found) >= 4
    assert np.mean([e.value for e in found]) == pytest.approx(exact, rel=0.15)
    assert estimate_regions(network, box, samples=32) == found[0]


def test_cells_that_are_thin_or_missing_cost_no_coin():
    rows = np.array([[1.0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 0]])  # one fold thrice, and none
    network = ReLUNetwork((rows, np.ones((1, 4))), (np.zeros(4), np.zeros(1)))
    found = estimate_regions(network, [(-1, 1)] * 3, samples=5)
    assert (found.low, found.value, found.high) == (2, 2, 2)
    assert count_regions(network, [(-1, 1)] * 3) == 2


def test_one_input_has_points_for_its_boundary():
    network = random_network(1, 12, 8, 3, seed=0)
    found = decision_pieces(network, [(-5, 5)])
    x = np.linspace(-5, 5, 200_001)[:, None]
    top = network(x).argmax(axis=1)
    changes = x[:-1, 0][np.diff(top) != 0]
    assert len(changes) > 1
    np.testing.assert_allclose(sorted(np.ravel(found.pieces)), changes, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_one_hidden_layer_of_three_inputs_agrees_with_its_tropical_hypersurface(seed):
    network, box = random_network(3, 6, 2, seed=seed), [(-3, 3)] * 3
    found = decision_pieces(network, box)
    surface = hypersurface(decision_polynomial(network), box)
    middles = np.array([piece.mean(axis=0) for piece in surface.pieces])
    on = gap(network, middles) < 1e-9  # the hypersurface has more than the boundary
    total = sum(area(p) for p, true in zip(surface.pieces, on, strict=True) if true)
    assert sum(map(area, found.pieces)) == pytest.approx(total)


@pytest.mark.parametrize("seed", range(4))
def test_lines_cross_the_polygons_of_a_deep_network_where_the_class_changes(seed):
    network, box = random_network(3, 6, 6, 3, seed=seed), [(-2, 2)] * 3
    found = decision_pieces(network, box)
    rng = np.random.default_rng(seed)
    for piece, (i, j) in zip(found.pieces, found.classes, strict=True):
        scores = network(piece)
        np.testing.assert_allclose(scores[:, i], scores[:, j], atol=1e-11)
        np.testing.assert_allclose(scores[:, i], scores.max(axis=1), atol=1e-11)
    for _ in range(20):
        start, end = rng.uniform(-2, 2, size=(2, 3))
        line = start + np.linspace(0, 1, 20_001)[:, None] * (end - start)
        assert sum(crosses(start, end - start, p) for p in found.pieces) == np.count_nonzero(
            np.diff(network(line).argmax(axis=1))
        )


def crosses(start, along, polygon):
    normal = np.linalg.svd(polygon - polygon.mean(axis=0))[2][-1]
    t = normal @ (polygon[0] - start) / (normal @ along)
    sides = np.roll(polygon, -1, axis=0) - polygon
    turns = np.cross(sides, start + t * along - polygon) @ normal
    return 0 < t < 1 and bool((turns >= 0).all() or (turns <= 0).all())


def test_classes_that_tie_all_over_a_solid_are_areas():
    # Both scores are zero where x1 < 0, and equal to it, times 1 and 2, beyond.
    network = ReLUNetwork(
        (np.array([[1.0, 0, 0]]), np.array([[1.0], [2.0]])), (np.zeros(1), np.zeros(2))
    )
    found = decision_pieces(network, [(-1, 1)] * 3)
    assert [len(corners) for corners in found.tied] == [8]
    assert found.tied[0][:, 0].max() == 0
    assert [area(p) for p in found.pieces] == [4.0]  # the side of the area


def test_level_sets_of_one_output():
    diamond = ReLUNetwork(
        (np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]), np.ones((1, 4))),
        (np.zeros(4), np.zeros(1)),
    )
    found = decision_boundary(diamond, ((-2, 2), (-2, 2)), level=1.5)
    assert length(found.segments) == pytest.approx(4 * 1.5 * np.sqrt(2))
    np.testing.assert_allclose(diamond(found.segments.reshape(-1, 2)), 1.5)
    two = random_network(2, 4, 2)
    for function in (decision_boundary, decision_pieces):
        with pytest.raises(ConfigError, match="2 outputs has no level: leave it out"):
            function(two, BOX, level=1.0)


@SETTINGS
@given(small_integer_networks(classes=(2, 3)), st.integers(0, 2**32))
def test_the_nearest_point_is_on_the_boundary_and_nothing_on_it_is_nearer(network, seed):
    point = np.random.default_rng(seed).uniform(-2, 2, size=2)
    refused = ""
    try:
        found = nearest_boundary(network, point, reach=0.5)
    except GeometryError as error:
        refused = str(error)
    if refused:
        assert "there is no boundary" in refused
        corners = decision_boundary(network, ((-99, 99), (-99, 99)))
        assert not len(corners.segments)
        assert not corners.tied
        return
    assert gap(network, found.point[None])[0] < 1e-7
    assert found.distance == pytest.approx(np.linalg.norm(found.point - point))
    circle = np.linspace(0, 2 * np.pi, 721)
    rays = np.stack([np.cos(circle), np.sin(circle)], axis=1)
    for share in (0.3, 0.6, 0.9, 0.999):
        inside = point + share * found.distance * rays
        if found.distance:  # the class is the same all over the open disc
            assert len(set(network(inside).argmax(axis=1))) == 1


def test_on_a_slice_the_nearest_point_is_that_of_a_search_along_the_boundary():
    network = random_network(5, 8, 8, 2, seed=1)
    a, b, c = np.random.default_rng(1).normal(size=(3, 5))
    plane = plane_through(a, b, c)
    on_plane = plane.restrict(network)
    found = nearest_boundary(on_plane, plane.coordinates(c))
    lifted = plane.lift(found.point)
    assert gap(network, lifted[None])[0] < 1e-12
    assert np.linalg.norm(lifted - c) == pytest.approx(found.distance)
    boundary = decision_boundary(on_plane, ((-50, 50), (-50, 50)))
    distances = [
        minimize_scalar(
            lambda t, p=p, q=q: np.linalg.norm(p + t * (q - p) - plane.coordinates(c)),
            bounds=(0, 1),
            method="bounded",
            options={"xatol": 1e-10},
        ).fun
        for p, q in boundary.segments
    ]
    assert found.distance == pytest.approx(min(distances), abs=1e-6)


def test_a_point_in_an_area_of_ties_is_at_the_boundary_and_far_ones_are_found():
    network = ReLUNetwork((np.eye(2), np.array([[1.0, 0], [0, 1]])), (np.zeros(2), np.zeros(2)))
    assert nearest_boundary(network, [-1, -2]).distance == 0
    far = nearest_boundary(network, [3e6, 1.0])
    assert far.distance == pytest.approx((3e6 - 1) / np.sqrt(2))
    never = ReLUNetwork((np.eye(2), np.zeros((2, 2))), (np.zeros(2), np.array([0.0, 1.0])))
    with pytest.raises(GeometryError, match=r"no boundary within 1e\+12: one class seems to win"):
        nearest_boundary(never, [0, 0])
    with pytest.raises(GeometryError, match="leaves nothing to look at; give a positive one"):
        nearest_boundary(network, [0, 0], reach=0)


def test_what_is_too_large_or_empty_is_refused_in_a_sentence():
    rng = np.random.default_rng(0)
    widths = [11, 3, 2]
    weights = tuple(rng.normal(size=(o, i)) for i, o in pairwise(widths))
    network = ReLUNetwork(weights, tuple(rng.normal(size=o) for o in widths[1:]))
    for function in (count_regions, decision_pieces):
        with pytest.raises(GeometryError, match=r"11 dimensions has 2\^11 corners"):
            function(network, [(-1, 1)] * 11)
    with pytest.raises(GeometryError, match="the box is empty; give"):
        count_regions(network, [(1, 1)] * 11)
    with pytest.raises(GeometryError, match="the box must have shape"):
        count_regions(network, [(-1, 1)] * 3)
    with pytest.raises(GeometryError, match="1 samples have no spread: take two or more"):
        estimate_regions(network, [(-1, 1)] * 11, samples=1)
