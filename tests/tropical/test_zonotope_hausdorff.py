import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.errors import GeometryError
from localbook.tropical import Zonotope, hausdorff
from tests.tropical.strategies import zonotopes

SETTINGS = settings(deadline=None, derandomize=True, max_examples=40)


def to_segments(point, starts, ends):
    along = ends - starts
    squares = np.maximum((along**2).sum(axis=1), 1e-300)
    t = np.clip(((point - starts) * along).sum(axis=1) / squares, 0, 1)
    return np.linalg.norm(starts + t[:, None] * along - point, axis=1).min()


def planar_reference(one, two):
    """Return the largest distance of a vertex of one polygon from the other."""
    best = 0.0
    for a, b in ((one, two), (two, one)):
        corners = b.vertices()
        outside = [x for x in a.vertices() if not b.contains(x[None])[0]]
        ends = np.roll(corners, -1, axis=0)
        best = max([best, *(to_segments(x, corners, ends) for x in outside)])
    return best


@SETTINGS
@given(*[zonotopes((2, 2), 5)] * 2)
def test_the_planar_distance_is_exact(one, two):
    lower, upper = hausdorff(one, two)
    assert lower == upper
    assert upper == pytest.approx(planar_reference(one, two), abs=1e-9)


@SETTINGS
@given(*[zonotopes((3, 3), 5)] * 2, st.integers(0, 2**32 - 1))
def test_the_bounds_in_space_hold(one, two, seed):
    lower, upper = hausdorff(one, two)
    directions = np.random.default_rng(seed).normal(size=(2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sampled = np.abs(one.support(directions) - two.support(directions)).max()
    # The sampled value is below the distance too; the climb must do at least as well.
    assert sampled <= lower + 1e-9
    assert lower <= upper


def test_the_bounds_meet_for_a_shift_and_for_one_longer_generator():
    rows = np.random.default_rng(0).normal(size=(5, 4))
    zonotope = Zonotope(rows, np.zeros(4))
    assert hausdorff(zonotope, zonotope) == (0, 0)
    shifted = Zonotope(rows, [3, 0, 4, 0])
    assert hausdorff(zonotope, shifted) == pytest.approx((5, 5))
    cube = Zonotope(np.eye(4), np.zeros(4))
    longer = Zonotope(np.diag([3.0, 1, 1, 1]), [-1, 0, 0, 0])
    assert hausdorff(cube, longer) == pytest.approx((1, 1))


def test_the_order_and_sign_of_partners_do_not_break_the_bound():
    rows = np.random.default_rng(0).normal(size=(5, 3))
    same = Zonotope(-rows, rows.sum(axis=0))
    assert hausdorff(Zonotope(rows, np.zeros(3)), same)[1] == pytest.approx(0, abs=1e-14)


def test_two_points_are_as_far_apart_as_they_are():
    one, two = (Zonotope(np.zeros((0, 2)), s) for s in ([0, 0], [3, 4]))
    assert hausdorff(one, two) == (5, 5)


def test_zonotopes_of_other_spaces_are_refused():
    with pytest.raises(GeometryError, match=r"R\^1 and R\^2 have no distance"):
        hausdorff(Zonotope([[1]], [0]), Zonotope([[1, 1]], [0, 0]))
