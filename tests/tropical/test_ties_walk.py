"""Ties that are walked along are those of the plain cut, or none are returned."""

import numpy as np
import pytest

from localbook.tropical.regions import SmallNetwork, ties_by_walking, ties_on_square
from tests.tropical.test_ties_wide import length


def small(rows, scores):
    """Return a network of hidden layers ``rows`` and ``scores``, both with the constant first."""
    weights = [np.array(part, dtype=np.float64) for part in (*rows, scores)]
    return SmallNetwork(tuple(weights), tuple(np.abs(w[:, 0]) for w in weights))


def drawn(seed, classes, bend, widths=(9, 6, 4)):
    """Return a network of random folds that bend affine scores by about ``bend``."""
    rng = np.random.default_rng(seed)
    starts = 3 + np.cumsum((0, *widths[:-1]))
    rows = [rng.normal(size=(n, start)) for n, start in zip(widths, starts, strict=True)]
    scores = np.hstack(
        [
            rng.normal(size=(classes, 3)) * [0.2, 1, 1],
            bend * rng.normal(size=(classes, sum(widths))),
        ]
    )
    return small(rows, scores)


@pytest.mark.parametrize("classes", [2, 4])
def test_what_is_walked_along_is_what_is_cut(classes):
    walked = segments = 0
    for seed in range(20):
        network = drawn(seed, classes, bend=0.01)
        found, expected = ties_by_walking(network), ties_on_square(network.layers())
        if found is None:
            continue
        walked += 1
        segments += len(found.classes)
        assert not found.areas
        assert len(found.classes) == len(expected.classes)
        for pair in np.unique(expected.classes, axis=0):
            ends = (length(ties.ends, ties.classes, pair) for ties in (found, expected))
            assert next(ends) == pytest.approx(next(ends), rel=1e-10)
    assert walked > 10
    assert segments > 6 * walked


def test_curves_that_may_be_loops_are_not_walked_along():
    folds = [[0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]
    diamond = small([folds], [[0.5, 0, 0, -1, -1, -1, -1], [0] * 7])  # 1/2 - |x| - |y|
    assert len(ties_on_square(diamond.layers()).classes) == 4
    assert ties_by_walking(diamond) is None
    refused = [ties_by_walking(drawn(seed, 2, bend=2)) is None for seed in range(10)]
    assert all(refused)


def test_special_positions_are_not_walked_along():
    through = small([[[0, 1, 0], [0, 0, 1]]], [[0, 1, -1, 0.1, 0.1], [0] * 5])  # the folds' meeting
    assert ties_by_walking(through) is None
    corner = small([np.empty((0, 3))], [[0, 1, 1], [0, 0, 0]])  # x + y: from corner to corner
    assert ties_by_walking(corner) is None
    flat = small([[[0, 1, 0]]], [[0, 0, 0, 1], [0, 0, 0, 1]])  # equal all over
    assert ties_by_walking(flat) is None


def test_where_no_class_is_near_there_is_no_tie():
    ahead = small([[[0, 1, 0]]], [[9, 1, 0, 0.5], [0, 0, 0, 0]])
    assert len(ties_by_walking(ahead).classes) == 0
