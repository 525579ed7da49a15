import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.errors import ConfigError
from localbook.tropical import (
    ReLUNetwork,
    common_factor,
    paper_branches,
    quotient,
    reduced_branches,
)


@st.composite
def networks_and_points(draw):
    n, p, classes = draw(st.integers(1, 4)), draw(st.integers(1, 6)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    zeros = draw(st.floats(0, 1))  # signs, and zeros among all parameters
    arrays = [
        rng.normal(size=size) * (rng.random(size) >= zeros / 2)
        for size in ((p, n), (p,), (classes, p), (classes,))
    ]
    return ReLUNetwork((arrays[0], arrays[2]), (arrays[1], arrays[3])), rng.normal(size=(30, n)) * 3


def differences(scores):
    return scores[:, :, None] - scores[:, None]


given_networks = given(networks_and_points())
often = settings(max_examples=100, deadline=None, derandomize=True)


@often
@given_networks
def test_scores_are_numerators_minus_denominators(pair):
    network, x = pair
    numerators, denominators = quotient(network)
    np.testing.assert_allclose(
        numerators.evaluate(x) - denominators.evaluate(x), network(x), atol=1e-12
    )


@often
@given_networks
def test_numerators_and_denominators_are_the_max_plus_formula(pair):
    network, x = pair
    (A, B), (c, b) = network.weights, network.biases
    positive, negative = np.maximum, lambda M: np.maximum(-M, 0)
    h = np.maximum(x @ positive(A, 0).T + c, x @ negative(A).T)
    H = h @ positive(B, 0).T + x @ negative(A).T @ negative(B).T + b
    Q = h @ negative(B).T + x @ negative(A).T @ positive(B, 0).T
    numerators, denominators = quotient(network)
    np.testing.assert_allclose(numerators.evaluate(x), H, atol=1e-12)
    np.testing.assert_allclose(denominators.evaluate(x), Q, atol=1e-12)


@often
@given_networks
def test_branches_are_products_of_a_numerator_and_the_other_denominators(pair):
    network, x = pair
    numerators, denominators = (part.evaluate(x) for part in quotient(network))
    expected = numerators + denominators.sum(axis=1, keepdims=True) - denominators
    np.testing.assert_allclose(paper_branches(network).evaluate(x), expected, atol=1e-12)


@often
@given_networks
@pytest.mark.parametrize("branches", [paper_branches, reduced_branches])
def test_branches_differ_as_the_scores_do(branches, pair):
    network, x = pair
    scores = network(x)
    np.testing.assert_allclose(
        differences(branches(network).evaluate(x)), differences(scores), atol=1e-12
    )
    last = network.classes - 1
    two = branches(network, (last, 0)).evaluate(x)
    np.testing.assert_allclose(two[:, 0] - two[:, 1], scores[:, last] - scores[:, 0], atol=1e-12)


@often
@given_networks
def test_the_reduced_form_is_the_paper_form_without_the_common_factor(pair):
    network, x = pair
    for classes in (None, (0, 1)):
        paper, factor = paper_branches(network, classes), common_factor(network, classes)
        reduced = reduced_branches(network, classes)
        np.testing.assert_allclose(
            paper.evaluate(x), reduced.evaluate(x) + factor.evaluate(x), atol=1e-12
        )
        np.testing.assert_allclose(
            paper.generators, reduced.generators + factor.generators, atol=1e-12
        )
        assert (reduced.generators == 0).all(axis=2).any(axis=0).all()  # nothing left to share


def test_two_classes_have_the_generators_of_the_theorem():
    A, c = np.array([[1.0, -2], [3, 4], [-5, 6]]), np.array([0.5, 0, -1])
    B, b = np.array([[1.0, -2, 3], [4, 5, -6]]), np.array([7.0, 8])
    network = ReLUNetwork((A, B), (c, b))
    rows = np.column_stack([A, c])
    paper = paper_branches(network)
    np.testing.assert_array_equal(paper.generators[0], np.array([1, 0, 9])[:, None] * rows)
    np.testing.assert_array_equal(paper.generators[1], np.array([4, 7, 0])[:, None] * rows)
    # The shift sum_j (|B_1j| + |B_2j|) a_j^-: 5 (0, 2) + 7 (0, 0) + 9 (5, 0).
    np.testing.assert_array_equal(paper.shifts, [[45, 10, 7], [45, 10, 8]])
    reduced = reduced_branches(network)
    np.testing.assert_array_equal(reduced.generators[0], np.array([0, 0, 9])[:, None] * rows)
    np.testing.assert_array_equal(reduced.generators[1], np.array([3, 7, 0])[:, None] * rows)
    np.testing.assert_array_equal(reduced.shifts, [[0, 0, 7], [0, 0, 8]])
    # Only the first neuron's output weights share a sign.
    np.testing.assert_array_equal(
        common_factor(network).generators[0], np.array([1, 0, 0])[:, None] * rows
    )


@pytest.mark.parametrize("hidden", [0, 2])
def test_other_depths_are_refused(hidden):
    network = ReLUNetwork((np.eye(2),) * (hidden + 1), (np.zeros(2),) * (hidden + 1))
    with pytest.raises(ConfigError, match=f"{hidden} hidden layers: the closed form is for one"):
        quotient(network)


@pytest.mark.parametrize("classes", [(0,), (0, 0), (0, 3), (-1, 0), ()])
def test_classes_that_make_no_comparison_are_refused(classes):
    network = ReLUNetwork((np.eye(2), np.ones((3, 2))), (np.zeros(2), np.zeros(3)))
    with pytest.raises(ConfigError, match="two or more different ones from 0 to 2"):
        reduced_branches(network, classes)


def test_one_class_has_no_branches_to_compare():
    network = ReLUNetwork((np.eye(2), np.ones((1, 2))), (np.zeros(2), np.zeros(1)))
    with pytest.raises(ConfigError, match="nothing to compare it with: give it a second output"):
        paper_branches(network)
