from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import ConvexHull, HalfspaceIntersection

from localbook.errors import GeometryError
from localbook.tropical import (
    TropicalPolynomial,
    Zonotope,
    decision_polynomial,
    dual_polytope,
    dual_subdivision,
    halfspaces,
    hull_of_zonotopes,
    minkowski_sum,
    reduce_order,
)
from tests.tropical.networks import random_network
from tests.tropical.strategies import zonotopes

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


@SETTINGS
@given(zonotopes((1, 4), 6), st.integers(0, 2**32 - 1))
def test_half_spaces_hold_the_zonotope_and_nothing_else(zonotope, seed):
    normals, offsets = halfspaces(zonotope)
    vertices, rng = zonotope.vertices(), np.random.default_rng(seed)
    heights = vertices @ normals.T - offsets
    assert (np.abs(heights.max(axis=0)) < 1e-9).all()  # none is cut off, each touches
    shares = rng.dirichlet(np.full(len(vertices), 0.3), size=20)
    points = shares @ vertices
    points = np.vstack([points, points + 0.3 * rng.normal(size=points.shape)])
    inside = (points @ normals.T <= offsets + 1e-9).all(axis=1)
    assert inside.tolist() == zonotope.contains(points).tolist()


@pytest.mark.parametrize(("d", "p"), [(2, 9), (3, 7), (4, 6)])
def test_the_vertices_come_back_from_the_half_spaces(d, p):
    rng = np.random.default_rng(d)
    zonotope = Zonotope(rng.normal(size=(p, d)), rng.normal(size=d))
    normals, offsets = halfspaces(zonotope)
    assert len(normals) == 2 * len(list(combinations(range(p), d - 1)))
    found = HalfspaceIntersection(np.column_stack([normals, -offsets]), zonotope.centre)
    corners = np.unique(found.intersections.round(8), axis=0)
    np.testing.assert_allclose(corners, np.unique(zonotope.vertices().round(8), axis=0), atol=1e-7)


def test_too_many_sets_of_generators_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(GeometryError, match=r"400 generators in R\^4 have 10,586,800 sets"):
        halfspaces(Zonotope(rng.normal(size=(400, 4)), np.zeros(4)))


@SETTINGS
@given(zonotopes((1, 4), 9), st.floats(1, 3), st.integers(0, 2**32 - 1))
def test_the_reduced_zonotope_is_around_the_other_and_in_the_same_box(zonotope, order, seed):
    reduced = reduce_order(zonotope, order)
    d = zonotope.dimension
    assert len(reduced.generators) <= order * d
    directions = np.random.default_rng(seed).normal(size=(50, d))
    assert (reduced.support(directions) >= zonotope.support(directions) - 1e-9).all()
    axes = np.vstack([np.eye(d), -np.eye(d)])
    np.testing.assert_allclose(reduced.support(axes), zonotope.support(axes), atol=1e-9)


def test_an_order_below_one_is_refused():
    with pytest.raises(GeometryError, match=r"order 0.5 has no box for the rest; give 1 or more"):
        reduce_order(Zonotope(np.eye(2), [0, 0]), 0.5)


def points(d):
    return hnp.arrays(
        np.int64, st.tuples(st.integers(1, 6), st.just(d)), elements=st.integers(-3, 3)
    )


@SETTINGS
@given(st.integers(1, 4).flatmap(lambda d: st.tuples(points(d), points(d))))
def test_the_minkowski_sum_has_the_sum_of_the_supports_and_no_spare_vertex(pair):
    one, other = pair
    found = minkowski_sum(one, other)
    directions = np.array(list(product(range(-2, 3), repeat=one.shape[1])))
    expected = (directions @ one.T).max(axis=1) + (directions @ other.T).max(axis=1)
    assert np.array_equal((directions @ found.T).max(axis=1), expected)
    assert len(np.unique(found, axis=0)) == len(found)
    product_of = TropicalPolynomial(one, np.zeros(len(one))) * TropicalPolynomial(
        other, np.zeros(len(other))
    )
    assert sorted(found.tolist()) == sorted(product_of.newton_polytope().tolist())


def test_two_cubes_make_one_and_bad_polytopes_are_refused():
    cube = np.array(list(product((0, 1), repeat=3)))
    assert len(minkowski_sum(cube, 2 * cube)) == 8
    with pytest.raises(GeometryError, match="the second polytope must have shape"):
        minkowski_sum(cube, [[0, 1]])
    with pytest.raises(GeometryError, match="needs points of both polytopes"):
        minkowski_sum(cube, np.zeros((0, 3)))


@SETTINGS
@given(st.lists(zonotopes((3, 3), 4), min_size=2, max_size=3))
def test_faces_of_a_hull_close_outwards_around_qhulls_volume(bodies):
    hull = hull_of_zonotopes(*bodies)
    centred = hull.vertices - hull.vertices.mean(axis=0)
    if np.linalg.matrix_rank(centred, tol=1e-9) < 3:
        with pytest.raises(GeometryError, match=r"those of a solid in R\^3"):
            hull.faces()
        return
    faces = hull.faces()
    sides = [(a, b) for f in faces for a, b in zip(f, np.roll(f, -1), strict=True)]
    assert len(set(sides)) == len(sides)
    assert {(b, a) for a, b in sides} == set(sides)
    assert len(hull.vertices) - len(sides) // 2 + len(faces) == 2
    fans = [(centred[f[0]], centred[a], centred[b]) for f in faces for a, b in pairwise(f[1:])]
    assert sum(map(np.linalg.det, fans)) / 6 == pytest.approx(ConvexHull(centred).volume)


def test_upper_faces_of_lifted_zonotopes_are_dual_to_the_vertices_of_the_hypersurface():
    network = random_network(2, 6, 3, seed=5)
    hull = dual_polytope(network).hull()
    upper = hull.faces(upper=True)
    dual = dual_subdivision(decision_polynomial(network))
    assert len(upper) == len(dual.cells)
    assert sorted(map(len, upper)) == sorted(map(len, dual.cells))
    for face in upper:
        a, b, c = hull.vertices[face[:3]]
        assert np.cross(b - a, c - a)[2] > 0
    with pytest.raises(GeometryError, match=r"hull has dimension 2 in R\^2"):
        hull_of_zonotopes(Zonotope(np.eye(2), [0, 0]), Zonotope(np.eye(2), [1, 1])).faces()
