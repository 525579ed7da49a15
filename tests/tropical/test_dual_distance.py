from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from localbook import tropical
from localbook.errors import GeometryError
from localbook.tropical import (
    ReLUNetwork,
    Zonotope,
    dual_distance,
    dual_distance_at,
    dual_polytope,
)
from tests.tropical.networks import random_network


def homogeneous(*widths, seed):
    """A random network without biases."""
    net = random_network(*widths, seed=seed)
    return ReLUNetwork(net.weights, tuple(np.zeros_like(b) for b in net.biases))


def changed(net, first=None, second=None, first_bias=None, second_bias=None):
    (A, B), (c, b) = net.weights, net.biases
    pick = [old if new is None else new for old, new in
            zip((A, B, c, b), (first, second, first_bias, second_bias), strict=True)]  # fmt: skip
    return ReLUNetwork((pick[0], pick[1]), (pick[2], pick[3]))


def distance(one, other, **options):
    return dual_distance(dual_polytope(one), dual_polytope(other), **options)


def subset_sums(zonotope):
    signs = np.array(list(product((0, 1), repeat=len(zonotope.generators))))
    return signs @ zonotope.generators + zonotope.shift


def slow_distance(one, other):
    """Of all points that can be vertices, the largest distance to the other zonotope."""
    worst = 0.0
    for first, second in ((one, other), (other, one)):
        for point in subset_sums(first):
            fit = lsq_linear(second.generators.T, point - second.shift, (0, 1), tol=1e-12)
            worst = max(worst, np.sqrt(2 * fit.cost))
    return worst


def centred_by_hand(polytope):
    middle = np.mean([subset_sums(z).mean(axis=0) for z in polytope.zonotopes], axis=0)
    return [Zonotope(z.generators, z.shift - middle) for z in polytope.zonotopes]


@pytest.mark.parametrize(("widths", "biases"), [((2, 5, 2), False), ((2, 4, 3), True),
                                                ((4, 5, 2), False), ((3, 4, 3), True)])  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_the_bounds_enclose_a_slow_reference(widths, biases, seed):
    make = random_network if biases else homogeneous
    one, other = make(*widths, seed=seed), make(*widths, seed=seed + 10)
    found = distance(one, other)
    pairs = zip(
        centred_by_hand(dual_polytope(one)), centred_by_hand(dual_polytope(other)), strict=True
    )
    slow = np.array([slow_distance(*pair) for pair in pairs])
    assert np.all(found.lower <= slow * (1 + 1e-6))
    assert np.all(slow <= found.upper * (1 + 1e-6))
    if dual_polytope(one).zonotopes[0].dimension <= 3:
        np.testing.assert_allclose(found.lower, slow, rtol=1e-5)


@pytest.mark.parametrize("widths", [(2, 6, 2), (2, 6, 3), (7, 6, 3)])
def test_nothing_between_a_network_and_itself_in_any_order(widths):
    net = random_network(*widths, seed=1)
    (A, B), (c, _) = net.weights, net.biases
    order = np.random.default_rng(0).permutation(len(A))
    found = distance(net, changed(net, A[order], B[:, order], c[order]))
    np.testing.assert_allclose(found.upper, 0, atol=1e-13 * found.size)
    assert found.scale == 1


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([(2, 6, 2), (2, 5, 3), (6, 5, 2)]))
def test_what_the_boundary_does_not_see_does_not_count(seed, widths):
    rng = np.random.default_rng(seed)
    net, base = random_network(*widths, seed=seed), random_network(*widths, seed=seed + 1)
    (A, B), (c, b) = net.weights, net.biases
    order = rng.permutation(len(A))
    factor = rng.uniform(0.5, 2, len(A))
    alike = {
        "neurons in another order": changed(net, A[order], B[:, order], c[order]),
        "neurons rescaled": changed(net, A * factor[:, None], B / factor, c * factor),
        "a function added to all scores": changed(
            net, second=B + rng.normal(size=len(A)), second_bias=b + 3
        ),
    }
    exact = distance(base, net)
    for what, other in alike.items():
        found = distance(base, other)
        if widths[0] == 2:
            np.testing.assert_allclose(found.lower, exact.lower, rtol=1e-7, err_msg=what)
        if what != "neurons in another order":  # the order given is one of two that are tried
            np.testing.assert_allclose(found.upper, exact.upper, rtol=1e-7, err_msg=what)


@pytest.mark.parametrize("widths", [(2, 6, 2), (7, 6, 3)])
def test_scaled_scores_are_the_same_shape(widths):
    net = random_network(*widths, seed=4)
    larger = changed(net, second=3 * net.weights[1], second_bias=3 * net.biases[1])
    found = distance(net, larger, up_to_scale=True)
    assert found.scale == pytest.approx(1 / 3)
    assert found.relative[1] < 1e-12
    assert distance(net, larger).relative[0] > 0.1


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("up_to_scale", [False, True])
def test_the_decision_is_the_same_where_the_margin_exceeds_the_distance(seed, up_to_scale):
    rng = np.random.default_rng(seed)
    widths = [(2, 8, 2), (2, 8, 3), (6, 8, 3)][seed % 3]
    net = random_network(*widths, seed=seed)
    moved = [w + 0.02 * rng.normal(size=w.shape) for w in net.weights]
    other = ReLUNetwork(tuple(moved), net.biases)
    eps = distance(net, other, up_to_scale=up_to_scale).upper
    x = rng.normal(size=(2000, widths[0])) * 3
    f = net(x)
    top = f.argmax(axis=1)
    length = np.sqrt(1 + (x**2).sum(axis=1))
    needed = (eps + eps[top][:, None]) * length[:, None]
    lead = f[np.arange(len(x)), top][:, None] - f
    lead[np.arange(len(x)), top] = np.inf
    sure = (lead > needed).all(axis=1)
    assert sure.any()
    assert (other(x)[sure].argmax(axis=1) == top[sure]).all()


def test_the_hull_is_no_further_than_the_classes():
    directions = np.stack([np.cos(t := np.linspace(0, 2 * np.pi, 5000)), np.sin(t)], axis=1)
    for seed in range(10):
        one, other = (homogeneous(2, 6, 2, seed=seed + k) for k in (0, 100))
        heights = []
        for net in (one, other):
            zonotopes = centred_by_hand(dual_polytope(net))
            heights.append(np.max([z.support(directions) for z in zonotopes], axis=0))
        hull = np.abs(heights[0] - heights[1]).max()
        assert hull <= distance(one, other).upper.max() * (1 + 1e-9)


def test_swapped_classes_are_far_apart():
    net = homogeneous(2, 6, 2, seed=0)
    swapped = changed(net, second=net.weights[1][::-1])
    assert distance(net, swapped).relative[0] > 0.1


def test_a_network_without_biases_is_lifted_beside_one_with_them():
    plain = homogeneous(2, 6, 2, seed=2)
    shifted = changed(plain, second_bias=np.array([1.0, 0.0]))
    assert not dual_polytope(plain).lifted
    for pair in ((plain, shifted), (shifted, plain)):
        np.testing.assert_allclose(distance(*pair).lower, 0.5, rtol=1e-9)


def test_a_network_pruned_away_is_as_far_as_the_farthest_point():
    net = homogeneous(2, 6, 2, seed=3)
    nothing = changed(net, first=np.zeros_like(net.weights[0]))
    found = distance(net, nothing, up_to_scale=True)
    reach = [np.linalg.norm(z.vertices(), axis=1).max()
             for z in centred_by_hand(dual_polytope(net))]  # fmt: skip
    np.testing.assert_allclose(found.lower, reach)
    assert found.relative[0] <= len(reach)


def test_bad_input():
    net = homogeneous(2, 6, 2, seed=3)
    nothing = changed(net, first=np.zeros_like(net.weights[0]))
    with pytest.raises(GeometryError, match="first dual polytope is a point"):
        distance(nothing, net)
    with pytest.raises(GeometryError, match="not comparable"):
        distance(net, homogeneous(3, 6, 2, seed=0))
    with pytest.raises(GeometryError, match="not comparable"):
        distance(net, homogeneous(2, 6, 3, seed=0))
    assert tropical.DualDistance(np.ones(2), np.ones(2), 2.0, 1.0).relative == (0.5, 0.5)


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_distance_at_points_is_that_of_the_scores_there(biases, seed):
    """By the branches as sums over neurons, without a zonotope."""
    make = random_network if biases else homogeneous
    one, other = make(4, 6, 3, seed=seed), make(4, 6, 3, seed=seed + 10)
    points = np.random.default_rng(seed).normal(size=(40, 4))

    def branches(net):
        (A, B), (c, b) = net.weights, net.biases
        w = B - B.min(axis=0)  # the reduced form; another one adds the same function to all
        lines = points @ A.T + c
        sums = np.maximum(lines, 0) @ w.T + b
        centre = lines @ w.T / 2 + b
        return sums - centre.mean(axis=1, keepdims=True)

    gap = np.abs(branches(one) - branches(other)).max(axis=1)
    lengths = np.sqrt((points**2).sum(axis=1) + biases)
    polytopes = dual_polytope(one), dual_polytope(other)
    found = dual_distance_at(*polytopes, points)
    bounds = dual_distance(*polytopes)
    assert found == pytest.approx((gap / lengths).max() / bounds.size)
    assert found <= bounds.relative[1] * (1 + 1e-9)


def test_points_that_do_not_fit():
    polytope = dual_polytope(random_network(3, 4, 2, seed=0))
    with pytest.raises(GeometryError, match="of shape \\(5, 2\\) for networks of 3 inputs"):
        dual_distance_at(polytope, polytope, np.ones((5, 2)))
    flat = dual_polytope(homogeneous(3, 4, 2, seed=0))
    with pytest.raises(GeometryError, match="no point has a direction"):
        dual_distance_at(flat, flat, np.zeros((2, 3)))
