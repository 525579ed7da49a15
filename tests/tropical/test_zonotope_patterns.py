"""Activation patterns: as many as the formula says, and those that a grid or sampling meets."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from localbook.errors import ConfigError
from localbook.tropical import activation_patterns, most_patterns, sampled_patterns


@pytest.mark.parametrize(("n", "inputs"), [(5, 1), (14, 2), (9, 3)])
def test_patterns_are_as_many_as_the_formula_says_and_all_that_sampling_meets(n, inputs):
    X = np.random.default_rng(n).normal(size=(n, inputs + 1))
    X[:, -1] = 1
    D = activation_patterns(X)
    assert len(D) == len(np.unique(D, axis=0)) == most_patterns(n, inputs + 1)
    met = sampled_patterns(X, len(D) // 2, seed=0)
    assert set(map(bytes, met)) <= set(map(bytes, D))


def test_fourteen_points_in_four_dimensions_have_patterns_that_sampling_misses():
    X = np.random.default_rng(0).normal(size=(14, 4))
    assert len(activation_patterns(X)) == most_patterns(14, 4) == 756
    with pytest.raises(ConfigError, match="patterns met, not 756: take activation_patterns"):
        sampled_patterns(X, 756, seed=0)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(hnp.arrays(np.int64, (5, 3), elements=st.integers(-2, 2)))
def test_patterns_of_repeated_opposite_and_zero_samples_are_those_of_a_fine_grid(X):
    D = activation_patterns(X)
    grid = np.add(list(product(range(-13, 14), repeat=3)), (0.011, 0.0173, 0.0231))
    met = np.unique(grid @ X.T > 0, axis=0)
    assert set(map(bytes, D)) == set(map(bytes, met))
