from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from localbook.tropical import Zonotope, exact_vertices
from tests.tropical.strategies import generators as integer_generators
from tests.tropical.strategies import turn

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


def enumerate_vertices(generators):
    """List all 2^p sums and keep those whose normal cone has full dimension, in integers."""
    count, dimension = generators.shape
    bits = (np.arange(1 << count)[:, None] >> np.arange(count)) & 1
    sums = np.unique(bits @ generators, axis=0)
    columns = []
    for k in range(dimension):
        if count and np.linalg.matrix_rank(generators[:, [*columns, k]]) > len(columns):
            columns.append(k)
    points = sums[:, columns]
    rank = len(columns)
    if rank == 0:
        return sums
    if rank == 1:
        normals = np.array([[1], [-1]])
    else:
        corners = points[list(combinations(range(len(points)), rank))]
        edges = np.diff(corners, axis=1)
        if rank == 2:
            normals = np.stack([edges[:, 0, 1], -edges[:, 0, 0]], axis=1)
        else:
            normals = np.cross(edges[:, 0], edges[:, 1])
        normals = np.unique(np.vstack([normals, -normals]), axis=0)
    heights = normals @ points.T
    highest = heights == heights.max(axis=1, keepdims=True)
    ranks = [np.linalg.matrix_rank(normals[on]) if on.any() else 0 for on in highest.T]
    return sums[np.array(ranks) == rank]


def in_order(points):
    return points[np.lexsort(np.round(points, 6).T[::-1])]


@SETTINGS
@given(integer_generators((1, 3), 5))
def test_vertices_are_those_of_the_enumeration_of_all_sums(generators):
    found = Zonotope(generators, np.zeros(generators.shape[1])).vertices()
    expected = enumerate_vertices(generators)
    assert np.allclose(in_order(found), in_order(expected.astype(float)), atol=1e-12)


@SETTINGS
@given(integer_generators((1, 3), 5))
def test_exact_vertices_are_those_of_the_enumeration_of_all_sums(generators):
    found = exact_vertices(generators.tolist(), [0] * generators.shape[1])
    assert found == sorted(map(tuple, enumerate_vertices(generators).tolist()))


@SETTINGS
@given(integer_generators((4, 5), 6))
def test_vertices_in_higher_dimensions_are_the_exact_ones(generators):
    found = Zonotope(generators, np.ones(generators.shape[1])).vertices()
    expected = exact_vertices(generators.tolist(), [1] * generators.shape[1])
    assert np.allclose(in_order(found), np.array(expected, dtype=float), atol=1e-12)


@SETTINGS
@given(integer_generators((1, 4), 6))
def test_chambers_tell_which_generators_each_vertex_is_the_sum_of(generators):
    Z = Zonotope(generators, np.zeros(generators.shape[1]))
    chambers = Z.chambers()
    assert chambers.shape[1] == len(generators)
    assert np.allclose(in_order(chambers @ generators), in_order(Z.vertices()), atol=1e-12)


def nearly_dependent(kind, d, distance, seed):
    """Generators of which some lie in a plane or space exactly, and others at a distance from it.

    Multiples of 2^-46 below 8, so that their sums are exact in float64.
    """
    rng = np.random.default_rng([d, seed, round(-np.log10(distance))])
    base = rng.integers(-2, 3, size=(d, d)).astype(float)
    off = np.round(rng.normal(size=(3, d)) * distance * 2.0**46) / 2.0**46
    level = np.append(np.ones(d - 1), 0)
    a, b, c, *rest = base
    rows = {
        "a fourth near the plane of three": [a, b, a + b, a - b + off[0], c, *rest],
        "nearly parallel": [a, a + off[0], a + off[1], b, c, *rest],
        "near the space of four": [a, b, c, a + b - c, a + b + c + off[0], a - c + off[1], *rest],
        "all near a hyperplane": [
            *(base * level),
            *(rng.integers(-2, 3, (2, d)) * level + off[:2]),
        ],
        "in no plane": [a, b, a + b + off[0], c, a - c + off[1], a + c + off[2], *rest],
    }
    return np.array(rows[kind])


@pytest.mark.parametrize(
    ("d", "distance"),
    [*((4, 10.0**-k) for k in (1, 3, 4, 6, 7, 8, 10, 11, 12)), (5, 1e-4), (5, 1e-9)],
)
@pytest.mark.parametrize(
    "kind",
    [
        "a fourth near the plane of three",
        "nearly parallel",
        "near the space of four",
        "all near a hyperplane",
        "in no plane",
    ],
)
def test_generators_near_a_plane_have_exactly_the_exact_vertices(kind, distance, d):
    generators = nearly_dependent(kind, d, distance, seed=0)[: 7 if d == 5 else 8]
    found = Zonotope(generators, np.zeros(d)).vertices()
    exact = exact_vertices(generators.tolist(), [0] * d)
    assert sorted(map(tuple, found.tolist())) == [tuple(map(float, v)) for v in exact]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("kind", "count"), [("B4", 384), ("D5", 1920), ("subsets of 4", 370), ("thresholds of 4", 1882)]
)
def test_root_systems_have_as_many_vertices_as_is_known(kind, count, turned):
    d = int(kind[-1])
    roots = [np.eye(d)[i] + s * np.eye(d)[j] for i, j in combinations(range(d), 2) for s in (1, -1)]
    rows = {
        "B": [*roots, *np.eye(d)],
        "D": roots,
        "s": [s for s in product((0, 1), repeat=d) if any(s)],
        "t": [(1, *s) for s in product((1, -1), repeat=d)],
    }[kind[0]]
    generators = np.array(rows, dtype=float)
    if turned:
        generators = generators @ turn(np.random.default_rng(0), generators.shape[1])
    assert len(Zonotope(generators, np.zeros(generators.shape[1])).vertices()) == count


@pytest.mark.parametrize(
    ("d", "p"), [(1, 7), (2, 1), (2, 2), (2, 50), (2, 3000), (3, 40), (4, 12), (5, 9), (8, 9)]
)
def test_generic_counts(d, p):
    generators = np.random.default_rng(d * p).normal(size=(p, d))
    found = Zonotope(generators, np.zeros(d)).vertices()
    assert len(found) == 2 * sum(comb(p - 1, i) for i in range(d))


@pytest.mark.parametrize(("d", "p"), [(2, 2000), (3, 60), (4, 12)])
def test_vertices_attain_the_support_and_are_not_repeated(d, p):
    rng = np.random.default_rng(0)
    zonotope = Zonotope(rng.normal(size=(p, d)), rng.normal(size=d))
    found = zonotope.vertices()
    directions = rng.normal(size=(500, d))
    assert np.allclose((directions @ found.T).max(axis=1), zonotope.support(directions))
    assert len(np.unique(found.round(9), axis=0)) == len(found)


def test_planar_vertices_are_counter_clockwise_from_the_lowest():
    rng = np.random.default_rng(0)
    found = Zonotope(rng.normal(size=(300, 2)), rng.normal(size=2)).vertices()
    edges = np.roll(found, -1, axis=0) - found
    following = np.roll(edges, -1, axis=0)
    assert (edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0] > 0).all()
    assert found[:, 1].argmin() == 0


@SETTINGS
@given(integer_generators((2, 5), 8), st.integers(0, 2**32 - 1))
def test_counts_survive_rotation_scaling_permutation_and_sign_flips(generators, seed):
    # Rotation makes flat triples and parallel pairs so only up to rounding.
    rng = np.random.default_rng(seed)
    count, d = generators.shape
    plain = Zonotope(generators, np.zeros(d))
    turned = generators @ turn(rng, d) * 10.0 ** rng.integers(-3, 4)
    sign = np.where(rng.random(count) < 0.5, -1.0, 1.0)[:, None]
    order = rng.permutation(count)
    flipped = Zonotope((sign * turned)[order], turned[sign[:, 0] < 0].sum(axis=0))
    expected = Zonotope(turned, np.zeros(d)).vertices()
    assert len(expected) == len(plain.vertices())
    found = flipped.vertices()
    assert len(found) == len(expected)
    size = np.abs(turned).sum() + 1e-300
    nearest = np.abs(found[:, None] - expected).max(axis=2).min(axis=1)
    assert (nearest <= 1e-12 * size).all()


@SETTINGS
@given(integer_generators((2, 3), 7), st.integers(0, 2**32 - 1))
def test_an_affine_image_has_the_images_of_the_vertices(generators, seed):
    rng = np.random.default_rng(seed)
    d = generators.shape[1]
    matrix = np.triu(rng.integers(-3, 4, size=(d, d)), 1) + np.eye(d)
    zonotope = Zonotope(generators, rng.integers(-3, 4, size=d))
    image = zonotope.affine_image(matrix, np.ones(d))
    assert np.allclose(
        in_order(image.vertices()), in_order(zonotope.vertices() @ matrix.T + 1), atol=1e-9
    )


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    st.sampled_from([2, 3, 4]).flatmap(
        lambda d: hnp.arrays(np.int64, (7, d), elements=st.integers(-2, 2))
    ),
    st.sampled_from([1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-9]),
    st.integers(0, 2**32 - 1),
)
def test_no_wide_vertex_is_lost_when_generators_are_degenerate_up_to_noise(generators, noise, seed):
    # Noise near the tolerances makes decisions about single triples contradict one another.
    rng = np.random.default_rng(seed)
    d = generators.shape[1]
    noisy = (generators + noise * rng.normal(size=generators.shape)) @ turn(rng, d)
    zonotope = Zonotope(noisy * 10.0 ** rng.integers(-3, 4, size=(7, 1)), np.zeros(d))
    directions = rng.normal(size=(200, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    reached = (directions @ zonotope.vertices().T).max(axis=1)
    size = np.abs(zonotope.generators).sum()
    assert np.allclose(reached, zonotope.support(directions), rtol=0, atol=1e-10 * size)


def test_merged_is_the_same_set_with_fewer_generators():
    zonotope = Zonotope([[1, 2], [0, 0], [-3, -6], [0.1, 0.2], [1, 0], [1, 0]], [1, 1])
    merged = zonotope.merged()
    assert len(merged.generators) == 2
    directions = np.random.default_rng(0).normal(size=(50, 2))
    assert np.allclose(merged.support(directions), zonotope.support(directions))


def test_many_generators_keep_every_vertex():
    generators = np.random.default_rng(0).normal(size=(200_000, 2))
    found = Zonotope(generators, np.zeros(2)).vertices()
    assert len(found) == 400_000
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, 20)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    expected = np.maximum(generators @ directions.T, 0).sum(axis=0)
    assert np.allclose((found @ directions.T).max(axis=0), expected, rtol=1e-11)


def test_many_parallel_generators_share_their_edges():
    rows = np.random.default_rng(0).integers(-20, 21, size=(5000, 2))
    rows = rows[np.any(rows, axis=1)]
    primitive = rows // np.gcd(rows[:, 0], rows[:, 1])[:, None]
    directions = {max(tuple(g), tuple(-g)) for g in primitive}
    found = Zonotope(rows / 7, np.zeros(2)).vertices()
    assert len(found) == 2 * len(directions)


def test_opposite_level_generators_are_parallel_in_spite_of_rounding():
    rows = [[1, 1e-17], [-1, 1e-17], [1, -1e-17], [-1, 0], [0, 1]]
    assert len(Zonotope(rows, np.zeros(2)).vertices()) == 4


def test_coplanar_generators_are_found_at_every_angle_about_the_first():
    # Lines through one point at infinity must all be oriented alike, wherever "up" is.
    fan = np.array([[1, 0, k] for k in range(4)] + [[0, 1, 0], [1, 1, 1]], dtype=float)
    for angle in np.linspace(0, np.pi, 25):
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        found = Zonotope(fan @ turn, np.zeros(3)).vertices()
        assert len(found) == len(exact_vertices(fan.tolist(), [0, 0, 0]))
