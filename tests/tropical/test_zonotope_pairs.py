import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.tropical import Zonotope
from localbook.tropical.zonotopes.pairs import FEW, sums_by_pairs
from localbook.tropical.zonotopes.space import sweep

SETTINGS = settings(deadline=None, derandomize=True, max_examples=40)


def in_order(sums):
    return sums[np.lexsort(np.round(sums, 6).T[::-1])]


@SETTINGS
@given(st.integers(3, FEW), st.integers(0, 10**6))
def test_all_pairs_find_the_chambers_that_the_sweep_finds(p, seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(p, 3)) * 10.0 ** rng.integers(-3, 4, size=(p, 1))
    payload = rng.integers(1 << 40, size=(p, 2)).astype(float)  # sums tell sets apart, exactly
    found = sums_by_pairs(vectors, payload)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.array_equal(in_order(found), in_order(sweep(unit, payload)))
    half = len(found) // 2
    assert np.array_equal(found[:half] + found[half:], np.tile(payload.sum(axis=0), (half, 1)))


@pytest.mark.parametrize(
    "special",
    [[[0, 0, 1], [0, 1, 0], [0, 1, 1]], [[1, 2, 3], [-2, -4, -6], [1, 0, 0]]],
    ids=["three in one plane", "two parallel"],
)
@pytest.mark.parametrize("noise", [0, 1e-15, 1e-11])
def test_what_is_not_clearly_in_general_position_is_left_to_the_sweep(special, noise):
    rng = np.random.default_rng(0)
    vectors = np.vstack([rng.normal(size=(5, 3)), special]) + noise * rng.normal(size=(8, 3))
    for order in (np.arange(8), np.arange(8)[::-1]):  # the first vector is treated differently
        assert sums_by_pairs(vectors[order], vectors) is None


def test_too_few_or_too_many_are_left_to_others():
    rng = np.random.default_rng(0)
    for p in (0, 1, 2, FEW + 1):
        vectors = rng.normal(size=(p, 3))
        assert sums_by_pairs(vectors, vectors) is None


@pytest.mark.parametrize("p", [3, 4, 7, FEW, FEW + 1])
def test_faces_are_rows_of_the_vertices_whichever_way_those_are_found(p):
    zonotope = Zonotope(np.random.default_rng(p).normal(size=(p, 3)), [1.0, 2.0, 3.0])
    vertices = zonotope.vertices()
    faces = zonotope.faces()
    assert len(faces) == p * (p - 1)
    for face in faces:
        corners = vertices[face]
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[1])
        assert np.allclose(corners @ normal, zonotope.support(normal), rtol=1e-9, atol=1e-9)
