from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.errors import GeometryError
from localbook.tropical import Zonotope, exact_vertices, hausdorff, hull_of_zonotopes
from tests.tropical.strategies import generators

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


def at_origin(rows):
    return Zonotope(rows, np.zeros(np.shape(rows)[1]))


@SETTINGS
@given(generators((1, 4), 6), st.integers(0, 2**32 - 1))
def test_support_is_the_largest_of_all_sums(rows, seed):
    rng = np.random.default_rng(seed)
    shift, directions = rng.normal(size=rows.shape[1]), rng.normal(size=(2, 5, rows.shape[1]))
    bits = (np.arange(1 << len(rows))[:, None] >> np.arange(len(rows))) & 1
    expected = (directions @ (shift + bits @ rows).T).max(axis=-1)
    assert np.allclose(Zonotope(rows, shift).support(directions), expected)


@SETTINGS
@given(generators((1, 4), 7))
def test_volume_is_the_sum_of_the_subsets_determinants(rows):
    subsets = combinations(range(len(rows)), rows.shape[1])
    expected = sum(abs(np.linalg.det(rows[list(s)])) for s in subsets)
    assert at_origin(rows).volume() == pytest.approx(expected, abs=1e-9)
    few = {"FEW": -1, "FEW_IN_PLANE": -1}  # so that what is for many generators is taken
    for ways in (few, few | {"PRODUCTS": 0}, few | {"PRODUCTS": 0, "DETERMINANTS": 0}):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ways.items():
                patch.setattr(f"localbook.tropical.zonotopes.volume.{name}", value)
            assert at_origin(rows).volume() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("p", "d"), [(13, 2), (12, 3), (40, 3), (20, 4), (16, 5), (14, 6)])
def test_volume_of_many_generators(p, d):
    rows = np.random.default_rng(p).normal(size=(p, d))
    rows[1], rows[2], rows[3] = 0, -3 * rows[0], rows[4] + rows[5]
    subsets = np.array(list(combinations(range(p), d)))
    expected = np.abs(np.linalg.det(rows[subsets])).sum()
    assert at_origin(rows).volume() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("p", "d"), [(5, 2), (20, 3), (10, 4)])
def test_cutting_generators_into_pieces_keeps_the_volume(p, d):
    rng = np.random.default_rng(d)
    rows = rng.normal(size=(p, d))
    pieces = (rng.dirichlet(np.ones(16), size=p)[..., None] * rows[:, None]).reshape(-1, d)
    assert at_origin(pieces).volume() == pytest.approx(at_origin(rows).volume(), rel=1e-12)


@SETTINGS
@given(generators((3, 3), 6))
def test_faces_close_outwards_around_the_volume(rows):
    zonotope = at_origin(rows)
    if len(rows) == 0 or np.linalg.matrix_rank(rows) < 3:
        with pytest.raises(GeometryError, match="needs a solid"):
            zonotope.faces()
        return
    vertices, faces = zonotope.vertices(), zonotope.faces()
    sides = [(a, b) for f in faces for a, b in zip(f, np.roll(f, -1), strict=True)]
    # Each edge is passed once each way, and Euler's formula holds: a closed oriented surface.
    assert len(set(sides)) == len(sides)
    assert {(b, a) for a, b in sides} == set(sides)
    assert len(vertices) - len(sides) // 2 + len(faces) == 2
    enclosed = 0.0
    for face in faces:
        corners = vertices[face] - zonotope.centre
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[1])
        assert np.allclose((corners - corners[0]) @ normal, 0, atol=1e-9)
        assert normal @ corners[0] == pytest.approx((normal @ (vertices - zonotope.centre).T).max())
        fan = [np.linalg.det([corners[0], a, b]) for a, b in pairwise(corners[1:])]
        assert min(fan) > -1e-9
        enclosed += sum(fan) / 6
    assert enclosed == pytest.approx(zonotope.volume())


@pytest.mark.parametrize("p", [3, 4, 7, 40, 41])
def test_faces_are_rows_of_the_vertices_whichever_way_those_are_found(p):
    zonotope = Zonotope(np.random.default_rng(p).normal(size=(p, 3)), [1.0, 2.0, 3.0])
    vertices = zonotope.vertices()
    faces = zonotope.faces()
    assert len(faces) == p * (p - 1)
    for face in faces:
        corners = vertices[face]
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[1])
        assert np.allclose(corners @ normal, zonotope.support(normal), rtol=1e-9, atol=1e-9)


def test_faces_that_do_not_close_are_refused():
    # Twice the tolerance out of the plane: flat together with some of the others, not with all.
    rows = [[1, 0, 0], [0, 1, 0], [1, 1, 2e-12], [1, 2, 0], [0, 0, 1]]
    with pytest.raises(GeometryError, match="do not close; round the generators"):
        at_origin(rows).faces()


def inside_exactly(point, rows):
    """Decide by the supporting planes of all pairs of generators and of the axes of a flat span."""
    d = rows.shape[1]
    basis = np.vstack([rows, np.eye(d, dtype=np.int64)])
    if d == 1:
        normals = np.array([[1]])
    elif d == 2:
        normals = np.stack([basis[:, 1], -basis[:, 0]], axis=1)
    else:
        normals = np.array([np.cross(a, b) for a, b in combinations(basis, 2)])
    normals = np.vstack([normals, np.eye(d, dtype=np.int64)])
    twice_from_centre = 2 * point - rows.sum(axis=0)
    return (np.abs(normals @ twice_from_centre) <= np.abs(normals @ rows.T).sum(axis=1)).all()


@SETTINGS
@given(generators((1, 3), 5), st.integers(0, 2**32 - 1))
def test_contains_agrees_with_all_supporting_planes_in_integers(rows, seed):
    points = np.random.default_rng(seed).integers(-5, 6, size=(20, rows.shape[1]))
    points = np.vstack([points, rows])
    found = at_origin(rows).contains(points)
    if len(rows) and np.linalg.matrix_rank(rows) == rows.shape[1]:
        assert found.tolist() == [inside_exactly(x, rows) for x in points]
    else:
        # A flat zonotope: every point that is found must at least pass.
        assert all(inside_exactly(x, rows) for x in points[found])


@SETTINGS
@given(generators((1, 4), 5), st.integers(0, 2**32 - 1))
def test_contains_takes_sums_and_refuses_what_lies_beyond_a_vertex(rows, seed):
    rng = np.random.default_rng(seed)
    zonotope = Zonotope(rows, rng.normal(size=rows.shape[1]))
    sums = zonotope.shift + rng.random((20, len(rows))) @ rows
    assert zonotope.contains(sums).all()
    vertices = zonotope.vertices()
    assert zonotope.contains(vertices).all()
    beyond = vertices + 1e-6 * (vertices - zonotope.centre)
    if np.any(rows):
        assert not zonotope.contains(beyond).any()


def test_contains_asks_the_right_side_of_a_level_edge():
    square = at_origin([[1, 0], [0, 1]])
    points = [[0.5, 0], [0.5, 1], [0.5, -1e-6], [0.5, 1 + 1e-6], [1 + 1e-6, 0.5], [0, 0], [1.1, 1]]
    assert square.contains(points).tolist() == [True, True, False, False, False, True, False]


def test_minkowski_sum_adds_supports():
    rng = np.random.default_rng(0)
    one, two = (Zonotope(rng.normal(size=(4, 3)), rng.normal(size=3)) for _ in range(2))
    directions = rng.normal(size=(20, 3))
    assert np.allclose(
        one.minkowski_sum(two).support(directions),
        one.support(directions) + two.support(directions),
    )


def test_a_projection_is_an_affine_image():
    rng = np.random.default_rng(0)
    zonotope = Zonotope(rng.normal(size=(6, 3)), rng.normal(size=3))
    shadow = zonotope.affine_image([[1, 0, 0], [0, 1, 0]], [0, 0])
    directions = rng.normal(size=(20, 2))
    assert np.allclose(
        shadow.support(directions), zonotope.support(np.column_stack([directions, np.zeros(20)]))
    )


def test_no_generators_make_a_point():
    point = Zonotope(np.zeros((0, 2)), [1, 2])
    assert point.vertices().tolist() == [[1, 2]]
    assert point.volume() == 0
    assert point.contains([[1, 2], [1, 2.1]]).tolist() == [True, False]
    assert Zonotope(np.zeros((3, 3)), [1, 2, 3]).vertices().tolist() == [[1, 2, 3]]


def test_parallel_generators_make_a_segment():
    segment = at_origin([[1, 1], [2, 2], [-1, -1]])
    assert sorted(segment.vertices().tolist()) == [[-1, -1], [3, 3]]
    assert segment.contains([[0, 0], [0, 0.1], [4, 4]]).tolist() == [True, False, False]


def test_the_arrays_cannot_be_changed():
    zonotope = at_origin([[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="read-only"):
        zonotope.generators[0, 0] = 2


@pytest.mark.parametrize(
    ("rows", "shift", "words"),
    [
        ([[np.nan, 1]], [0, 0], "generators of a zonotope must be finite; remove the NaN"),
        ([[np.inf, 1]], [0, 0], "generators of a zonotope must be finite"),
        ([[1, 1]], [np.nan, 0], "shift of a zonotope must be finite"),
        ([[1, 1]], [0, 0, 0], r"generators of a zonotope must have shape \(any, 3\), not \(1, 2\)"),
        ([1, 1], [0, 0], r"must have shape \(any, 2\), not \(2,\)"),
        ([[1], [1, 2]], [0, 0], "must be an array of real numbers"),
        ([["a", "b"]], [0, 0], "must be an array of real numbers"),
        (np.zeros((1, 0)), [], "needs at least one dimension"),
    ],
)
def test_bad_input_is_refused(rows, shift, words):
    with pytest.raises(GeometryError, match=words):
        Zonotope(rows, shift)


def test_bad_arguments_are_refused():
    square, segment = at_origin([[1, 0], [0, 1]]), at_origin([[1]])
    with pytest.raises(GeometryError, match="no Minkowski sum; bring them to one dimension"):
        square.minkowski_sum(segment)
    with pytest.raises(GeometryError, match="the directions must have shape"):
        square.support([1, 2, 3])
    with pytest.raises(GeometryError, match="the points must have shape"):
        square.contains([1, 2])
    with pytest.raises(GeometryError, match="the matrix must have shape"):
        square.affine_image([[1, 0, 0]], [0])
    with pytest.raises(GeometryError, match="draw its vertices"):
        square.faces()
    with pytest.raises(GeometryError, match="exact vertices need finite numbers"):
        exact_vertices([[float("nan")]], [0])
    with pytest.raises(GeometryError, match="must have 2 entries, like the shift"):
        exact_vertices([[1]], [0, 0])


def test_the_shift_may_be_left_out():
    square = Zonotope([[1, 0], [0, 1]])
    assert square.shift.tolist() == [0, 0]
    assert repr(square) == "Zonotope of 2 generators in R^2"
    assert Zonotope(np.zeros((0, 3))).vertices().tolist() == [[0, 0, 0]]
    for rows in ([1, 2], np.zeros((2, 0)), [[1], [1, 2]]):
        with pytest.raises(GeometryError, match=r"generators"):
            Zonotope(rows)


def test_what_would_take_hours_is_refused():
    many = Zonotope(np.random.default_rng(0).normal(size=(60, 12)))
    with pytest.raises(
        GeometryError, match=r"60 generators in R\^12 may have 7e\+11 vertices.*support"
    ):
        many.vertices()
    with pytest.raises(GeometryError, match=r"volume of 60 generators in R\^12 is a sum of 1e\+12"):
        many.volume()
    boxes = Zonotope(np.vstack([np.eye(4)] * 10_000))  # parallel generators are one
    assert len(boxes.vertices()) == 16


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("exponent", [-1000, -660, -540, -400, 400, 500, 660, 1000])
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_no_length_is_too_small_or_too_large(d, exponent):
    """A power of two as a factor changes nothing but the numbers' exponents."""
    rng = np.random.default_rng(d)
    rows, shift = rng.integers(-3, 4, size=(6, d)), rng.integers(-3, 4, size=d)
    rows = np.vstack([rows, 2 * rows[0], np.zeros((1, d))])
    plain, other = Zonotope(rows, shift), Zonotope(rows[:5], -shift)
    scaled, far = (Zonotope(np.ldexp(z.generators, exponent), np.ldexp(z.shift, exponent)) for z in
                   (plain, other))  # fmt: skip
    assert np.array_equal(scaled.vertices(), np.ldexp(plain.vertices(), exponent))
    assert np.array_equal(scaled.merged().vertices(), scaled.vertices())
    directions = rng.normal(size=(20, d))
    assert np.allclose(np.ldexp(scaled.support(directions), -exponent), plain.support(directions))
    points = np.vstack([plain.vertices(), plain.centre, rng.normal(size=(20, d)) * 9])
    assert np.array_equal(scaled.contains(np.ldexp(points, exponent)), plain.contains(points))
    assert not scaled.contains(np.ldexp(points[:1] + 1e-6 * (points[0] - plain.centre), exponent))
    assert not scaled.contains([[1e300 if exponent < 0 else -1.7e308] * d])
    assert hausdorff(scaled, far) == tuple(np.ldexp(hausdorff(plain, other), exponent))
    if d == 3:
        assert all(map(np.array_equal, scaled.faces(), plain.faces()))
    hull = hull_of_zonotopes(plain, other).vertices
    assert np.allclose(np.ldexp(hull_of_zonotopes(scaled, far).vertices, -exponent), hull)
    if exponent * d > 1000:
        with pytest.raises(GeometryError, match="beyond the largest float64: divide"):
            scaled.volume()
    elif exponent * d > -1000:
        assert scaled.volume() == np.ldexp(plain.volume(), exponent * d)
    else:
        assert scaled.volume() == pytest.approx(0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("d", [2, 3, 4])
def test_vertices_beyond_all_numbers_are_refused(d):
    huge = at_origin(np.full((3, d), 1e308) * np.random.default_rng(0).uniform(0.9, 1, (3, d)))
    with pytest.raises(GeometryError, match="beyond the largest float64: divide the generators"):
        huge.vertices()
    with pytest.raises(GeometryError, match="beyond the largest float64"):
        huge.support(np.eye(d) * 10)
