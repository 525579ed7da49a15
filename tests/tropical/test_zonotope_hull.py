from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from localbook.errors import GeometryError
from localbook.tropical import Zonotope, hull_of_zonotopes
from localbook.tropical.hull import extreme_points
from tests.tropical.strategies import zonotopes

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


def is_extreme(k, points):
    """Tell in integers whether the normals of the supporting planes at a point span the space.

    ``points`` are different integer points that span R^d, d = 2 or 3.
    """
    corners = points[list(combinations(range(len(points)), points.shape[1]))]
    edges = np.diff(corners, axis=1)
    if points.shape[1] == 2:
        normals = np.stack([edges[:, 0, 1], -edges[:, 0, 0]], axis=1)
    else:
        normals = np.cross(edges[:, 0], edges[:, 1])
    normals = np.vstack([normals, -normals])
    at = normals[normals @ points[k] == (normals @ points.T).max(axis=1)]
    return np.linalg.matrix_rank(at) == points.shape[1]


def spans(points):
    return np.linalg.matrix_rank(points - points[0]) == points.shape[1]


@SETTINGS
@given(
    st.integers(2, 3).flatmap(
        lambda d: hnp.arrays(
            np.int64, st.tuples(st.integers(1, 12), st.just(d)), elements=st.integers(-2, 2)
        )
    )
)
def test_extreme_points_are_those_with_full_normal_cones(points):
    different = np.unique(points, axis=0)
    found = points[extreme_points(points.astype(float))]
    assert len(np.unique(found, axis=0)) == len(found)
    if spans(different):
        expected = [x for k, x in enumerate(different.tolist()) if is_extreme(k, different)]
        assert sorted(found.tolist()) == expected


def test_extreme_points_of_a_cross_polytope_and_a_cube_with_all_their_lattice_points():
    lattice = np.array(np.meshgrid(*[[-1, 0, 1]] * 4)).reshape(4, -1).T.astype(float)
    cross = lattice[np.abs(lattice).sum(axis=1) <= 1]
    assert np.abs(cross[extreme_points(cross)]).sum(axis=1).tolist() == [1] * 8
    assert len(extreme_points(lattice)) == 16
    assert np.abs(lattice[extreme_points(lattice)]).min() == 1


def test_extreme_points_of_flat_points_in_space():
    rng = np.random.default_rng(0)
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2], [1, 1], [1, 0], [2, 0]])
    tilted = square @ rng.normal(size=(2, 5)) + rng.normal(size=5)
    assert {tuple(x) for x in square[extreme_points(tilted)].tolist()} == {
        (0, 0),
        (2, 0),
        (2, 2),
        (0, 2),
    }


@SETTINGS
@given(zonotopes((2, 2), 5), zonotopes((2, 2), 5), st.integers(0, 2**32 - 1))
def test_the_planar_hull_has_the_larger_support_and_turns_left_everywhere(one, two, seed):
    hull = hull_of_zonotopes(one, two)
    directions = np.random.default_rng(seed).normal(size=(50, 2))
    expected = np.maximum(one.support(directions), two.support(directions))
    assert np.allclose((directions @ hull.vertices.T).max(axis=1), expected)
    if len(hull.vertices) > 2:
        edges = np.roll(hull.vertices, -1, axis=0) - hull.vertices
        following = np.roll(edges, -1, axis=0)
        # Integer coordinates: a true left turn has an integer area of at least 1.
        assert (edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0.5).all()


@SETTINGS
@given(zonotopes((3, 3), 4), zonotopes((3, 3), 4))
def test_the_hull_in_space_has_exactly_the_extreme_points(one, two):
    union = np.unique(np.vstack([one.vertices(), two.vertices()]).round().astype(int), axis=0)
    found = hull_of_zonotopes(one, two).vertices
    if spans(union) and len(union) <= 24:
        expected = [x for k, x in enumerate(union.tolist()) if is_extreme(k, union)]
        assert sorted(found.round().astype(int).tolist()) == expected


def test_sources_and_bridges():
    low = Zonotope([[2, 0], [0, 1]], [0, 0])
    high = Zonotope([[2, 0], [0, 1]], [0, 5])
    hull = hull_of_zonotopes(low, high)
    assert hull.vertices.tolist() == [[0, 0], [2, 0], [2, 6], [0, 6]]
    assert hull.source.tolist() == [1, 1, 2, 2]
    assert hull.bridges().tolist() == [[[2, 0], [2, 6]], [[0, 6], [0, 0]]]
    same = hull_of_zonotopes(low, low)
    assert same.source.tolist() == [3, 3, 3, 3]
    assert same.bridges().shape == (0, 2, 2)


def test_a_zonotope_inside_the_other_leaves_it_unchanged():
    rng = np.random.default_rng(0)
    outer = Zonotope(rng.normal(size=(30, 2)), np.zeros(2))
    inner = Zonotope(outer.generators / 2, outer.centre / 2)
    hull = hull_of_zonotopes(inner, outer)
    assert len(hull.vertices) == 60
    assert (hull.source == 2).all()


def test_the_hull_commutes_with_affine_maps():
    rng = np.random.default_rng(0)
    one, two = (Zonotope(rng.normal(size=(5, 3)), rng.normal(size=3)) for _ in range(2))
    matrix, offset = rng.normal(size=(3, 3)), rng.normal(size=3)
    before = hull_of_zonotopes(one, two).vertices @ matrix.T + offset
    after = hull_of_zonotopes(
        one.affine_image(matrix, offset), two.affine_image(matrix, offset)
    ).vertices
    assert np.allclose(np.sort(before, axis=0), np.sort(after, axis=0))


def test_bad_arguments_are_refused():
    segment, square = Zonotope([[1]], [0]), Zonotope(np.eye(2), [0, 0])
    cube = Zonotope(np.eye(3), np.zeros(3))
    with pytest.raises(GeometryError, match="have no common hull; bring them to one dimension"):
        hull_of_zonotopes(segment, square)
    with pytest.raises(GeometryError, match="edges of a planar hull; project"):
        hull_of_zonotopes(cube, cube).bridges()
