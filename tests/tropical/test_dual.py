"""The decision polynomial and the dual polytope against the network and its exact boundary."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from localbook.errors import ConfigError, GeometryError
from localbook.tropical import (
    ReLUNetwork,
    Zonotope,
    decision_boundary,
    decision_polynomial,
    dual_polytope,
    hull_of_zonotopes,
    hypersurface,
    paper_branches,
    reduced_branches,
)
from tests.tropical.networks import random_network

FORMS = {"reduced": reduced_branches, "paper": paper_branches}
BOX = ((-3.0, 3.0), (-3.0, 3.0))
often = settings(max_examples=60, deadline=None, derandomize=True)
both_forms = pytest.mark.parametrize("form", FORMS)


def without_biases(network):
    return ReLUNetwork(network.weights, tuple(np.zeros_like(b) for b in network.biases))


@st.composite
def one_hidden_layer(draw, inputs=(1, 3)):
    """Networks of small integers: parallel, repeated, dead and constant neurons, tied classes."""
    n, p, k = draw(st.integers(*inputs)), draw(st.integers(1, 5)), draw(st.integers(2, 4))
    numbers = st.integers(-2, 2)
    arrays = [
        np.reshape(draw(st.lists(numbers, min_size=size, max_size=size)), shape)
        for size, shape in ((p * n, (p, n)), (p, p), (k * p, (k, p)), (k, k))
    ]
    return ReLUNetwork((arrays[0], arrays[2]), (arrays[1], arrays[3]))


def gap(values):
    """How far the largest of each row is above the second largest."""
    if values.shape[1] == 1:
        return np.full(len(values), np.inf)
    second, first = np.partition(values, -2, axis=1)[:, -2:].T
    return first - second


def ties(polynomial, points):
    """How far the largest monomial is above the second largest: 0 on the hypersurface."""
    return gap(points @ polynomial.exponents.T + polynomial.coefficients)


@both_forms
@often
@given(one_hidden_layer(), st.integers(0, 2**32))
def test_polynomial_is_the_largest_branch(form, network, seed):
    x = np.random.default_rng(seed).normal(size=(50, network.inputs)) * 3
    for classes in (None, (1, 0)):
        branches = FORMS[form](network, classes).evaluate(x)
        values = decision_polynomial(network, classes, form)(x)
        np.testing.assert_allclose(values, branches.max(axis=1), atol=1e-11)


@both_forms
def test_polynomial_has_a_monomial_for_each_region_not_each_subset(form):
    network = random_network(2, 40, 2)
    weights = FORMS[form](network).generators.any(axis=2).sum(axis=1)
    polynomial = decision_polynomial(network, form=form)
    # Regions of p lines in the plane; only neurons with a weight in the branch cut it.
    regions = [1 + p + p * (p - 1) // 2 for p in weights.tolist()]
    assert len(polynomial.coefficients) <= sum(regions)
    assert len(polynomial.coefficients) >= max(regions)
    x = np.random.default_rng(0).normal(size=(200, 2)) * 3
    expected = FORMS[form](network).evaluate(x).max(axis=1)
    np.testing.assert_allclose(polynomial(x), expected, atol=1e-10)


@both_forms
@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (2, 1), (3, 2), (5, 3)])
def test_boundary_lies_on_the_hypersurface(form, classes, seed):
    network = random_network(2, 10, classes, seed=seed)
    segments = decision_boundary(network, BOX).segments
    assert len(segments) > 3
    points = (segments[:, :1] + np.linspace(0, 1, 5)[:, None] * np.diff(segments, axis=1)).reshape(
        -1, 2
    )
    assert ties(decision_polynomial(network, form=form), points).max() < 1e-10


def expected_on_hypersurface(network, form, points, scale=1e-9):
    """Tell where scores tie or a fold of a neuron in the winner's branch passes."""
    scores = network(points)
    folds = np.abs(points @ network.weights[0].T + network.biases[0]) < scale  # (N, p)
    in_branch = FORMS[form](network).generators[..., :-1].any(axis=2)  # (classes, p)
    return (gap(scores) < scale) | (folds & in_branch[scores.argmax(axis=1)]).any(axis=1)


@both_forms
@often
@given(one_hidden_layer(inputs=(2, 2)))
def test_hypersurface_is_ties_and_the_winners_folds(form, network):
    surface = hypersurface(decision_polynomial(network, form=form), BOX)
    middles = surface.segments.mean(axis=1)
    assert expected_on_hypersurface(network, form, middles).all()


@both_forms
@often
@given(one_hidden_layer(inputs=(2, 2)), st.integers(0, 2**32))
def test_the_winners_folds_are_on_the_hypersurface_and_no_other(form, network, seed):
    rng = np.random.default_rng(seed)
    points = []
    for a, c in zip(network.weights[0], network.biases[0], strict=True):
        if a.any():
            along = rng.uniform(-3, 3, size=20)[:, None] * [-a[1], a[0]]
            points.append(along - c * a / (a @ a))
    assume(points)
    points = np.vstack(points)
    points = points[gap(network(points)) > 1e-6]  # elsewhere the boundary decides
    on = ties(decision_polynomial(network, form=form), points) < 1e-9
    np.testing.assert_array_equal(on, expected_on_hypersurface(network, form, points))


@both_forms
@often
@given(one_hidden_layer(inputs=(2, 2)))
def test_boundary_is_on_the_hypersurface_but_inside_tied_areas(form, network):
    rows = np.column_stack([network.weights[1], network.biases[1]])
    assume(len(np.unique(rows, axis=0)) == len(rows))
    boundary = decision_boundary(network, BOX)
    polynomial = decision_polynomial(network, form=form)
    if len(boundary.segments):
        assert ties(polynomial, boundary.segments.mean(axis=1)).max() < 1e-9


def test_hypersurface_of_the_paper_is_the_reduced_one_and_the_shared_folds():
    network = random_network(2, 6, 2, seed=4)
    B = network.weights[1]
    shared = B[0] * B[1] > 0
    assert 0 < shared.sum() < 6
    surface = hypersurface(decision_polynomial(network, form="paper"), BOX)
    middles = surface.segments.mean(axis=1)
    reduced = ties(decision_polynomial(network), middles) < 1e-9
    on_fold = np.abs(middles @ network.weights[0].T + network.biases[0]) < 1e-9
    assert not reduced.all()
    np.testing.assert_array_equal(~reduced, ~reduced & on_fold[:, shared].any(axis=1))


@both_forms
@pytest.mark.parametrize("classes", [2, 3])
def test_zonotopes_without_biases_have_the_branches_as_support(form, classes):
    network = without_biases(random_network(3, 5, classes))
    dual = dual_polytope(network, form=form)
    assert not dual.lifted
    x = np.random.default_rng(1).normal(size=(40, 3))
    values = np.stack([zonotope.support(x) for zonotope in dual.zonotopes], axis=1)
    np.testing.assert_allclose(values, FORMS[form](network).evaluate(x), atol=1e-12)
    hull = dual.hull()
    assert set(hull.source.tolist()) <= set(range(1, 2**classes))
    expected = decision_polynomial(network, form=form)(x)
    np.testing.assert_allclose((x @ hull.vertices.T).max(axis=1), expected, atol=1e-11)


@both_forms
def test_with_biases_the_polytope_is_lifted(form):
    network = random_network(2, 6, 3)
    dual = dual_polytope(network, (2, 0), form)
    assert dual.lifted
    assert [zonotope.dimension for zonotope in dual.zonotopes] == [3, 3]
    x = np.random.default_rng(1).normal(size=(40, 2))
    lifted = np.column_stack([x, np.ones(40)])
    expected = decision_polynomial(network, (2, 0), form)(x)
    np.testing.assert_allclose((lifted @ dual.hull().vertices.T).max(axis=1), expected, atol=1e-11)


def test_a_bias_of_one_layer_is_enough_to_lift():
    network = random_network(2, 4, 2)
    for biases in ((np.zeros(4), np.ones(2)), (np.ones(4), np.zeros(2))):
        assert dual_polytope(ReLUNetwork(network.weights, biases)).lifted


def test_boundary_rays_are_normals_of_bridging_edges():
    compared = 0
    for seed in range(60):
        network = without_biases(random_network(2, 7, 2, seed=seed))
        angles = np.sort(np.arctan2(*network.weights[0].T))
        widest = np.diff(np.append(angles, angles[0] + 2 * np.pi)).max()
        if widest >= np.pi:  # a dead cone
            continue
        compared += 1
        bridge = np.diff(dual_polytope(network).hull().bridges(), axis=1)[:, 0]
        rays = decision_boundary(network, BOX).segments.mean(axis=1)
        normals = np.sort(np.arctan2(-bridge[:, 0], bridge[:, 1]))
        np.testing.assert_allclose(np.sort(np.arctan2(rays[:, 1], rays[:, 0])), normals, atol=1e-9)
    assert compared > 40


def test_in_a_dead_cone_the_boundary_is_an_area_and_the_polynomial_one_monomial():
    network = ReLUNetwork(
        (np.array([[1.0, 0.2], [1, -0.3], [0.8, 1]]), np.array([[1.0, -1, 2], [-1, 1, 0.5]])),
        (np.zeros(3), np.zeros(2)),
    )
    boundary = decision_boundary(network, BOX)
    assert len(boundary.tied) == 1
    inside = boundary.tied[0].mean(axis=0)
    assert (network(inside[None]) == 0).all()
    assert ties(decision_polynomial(network), inside[None]) > 0.1
    # Its monomial is a vertex of both zonotopes, where the hull has no bridge.
    hull = dual_polytope(network).hull()
    assert hull.vertices[hull.source == 3].tolist() == [[0, 0]]


def test_torch_models_are_taken():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 5, bias=False), torch.nn.ReLU(), torch.nn.Linear(5, 2, bias=False)
    )
    assert not dual_polytope(model).lifted
    x = np.random.default_rng(0).normal(size=(10, 2))
    hull = dual_polytope(model).hull().vertices
    np.testing.assert_allclose(decision_polynomial(model)(x), (x @ hull.T).max(axis=1), atol=1e-12)


@pytest.mark.parametrize("function", [dual_polytope, decision_polynomial])
class TestBadInput:
    def test_one_class(self, function):
        with pytest.raises(
            ConfigError, match="nothing to compare it with: give it a second output"
        ):
            function(random_network(2, 3, 1))

    def test_unknown_classes(self, function):
        with pytest.raises(ConfigError, match="name two or more different ones from 0 to 2"):
            function(random_network(2, 3, 3), (0, 3))

    @pytest.mark.parametrize("widths", [(2, 2), (2, 3, 3, 2)])
    def test_other_depths(self, function, widths):
        with pytest.raises(ConfigError, match=r"closed form is for one; decision_boundary\(\)"):
            function(random_network(*widths))

    def test_unknown_form(self, function):
        with pytest.raises(ConfigError, match="choose 'reduced' or 'paper'"):
            function(random_network(2, 3, 2), form="short")


def test_too_many_monomials_are_refused_but_their_zonotopes_are_not():
    network = random_network(20, 60, 2)
    with pytest.raises(GeometryError, match="restrict the network to a plane first"):
        decision_polynomial(network, form="paper")
    assert dual_polytope(network).zonotopes[0].generators.shape == (60, 21)


def test_hull_of_several_zonotopes_marks_each():
    squares = [Zonotope(np.eye(2), [2.0 * k, 0]) for k in range(3)]
    hull = hull_of_zonotopes(*squares)
    assert sorted(hull.source.tolist()) == [1, 1, 4, 4]
    assert len(hull.bridges()) == 2
    with pytest.raises(GeometryError, match="compare fewer"):
        hull_of_zonotopes(*squares * 21)
