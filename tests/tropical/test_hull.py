"""Convex hulls of degenerate and nearly degenerate points, by the Newton polytope."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.spatial import ConvexHull

from localbook.tropical import TropicalPolynomial
from tests.tropical.strategies import turn

SQUARE = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [1, 2], [0, 2], [0, 1], [1, 1.0]])
CONTACT = 1e-12


def hull(points):
    return TropicalPolynomial(points, np.zeros(len(points))).newton_polytope()


def lattice(rng, dimension, noise):
    """Return the 3^d points of a turned lattice, shaken, and those of its corners."""
    points = np.array(list(product((-1, 0, 1), repeat=dimension)), dtype=float)
    corner = np.abs(points).min(axis=1) == 1
    shaken = points @ turn(rng, dimension) / np.sqrt(dimension)
    shaken += noise * rng.normal(size=points.shape)
    return shaken, shaken[corner]


def distance_to_hull(point, others):
    system = np.vstack([(others - point).T, np.ones(len(others))])
    return nnls(system, np.append(np.zeros(len(point)), 1.0))[1]


def is_outside(point, others):
    """Tell in exact fractions whether a plane through three others has only the point above it."""
    simplices = ConvexHull(others).simplices  # candidates: each is verified
    exact = np.vectorize(Fraction, otypes=[object])
    others, point = exact(others), exact(point)
    for a, b, c in others[simplices]:
        normal = np.cross(b - a, c - a)
        height = normal @ (point - a)
        if height and all((others - a) @ normal * height <= 0):
            return True
    return False


@pytest.mark.parametrize("dimension", [3, 4, 5])
@pytest.mark.parametrize("noise", [0, 1e-15, 1e-14, 1e-13])
def test_noise_below_the_tolerance_makes_no_vertex(dimension, noise):
    rng = np.random.default_rng(dimension)
    for _ in range(5):
        points, corners = lattice(rng, dimension, noise)
        assert sorted(hull(points).tolist()) == sorted(corners.tolist())


@pytest.mark.parametrize("dimension", [3, 4, 5])
@pytest.mark.parametrize("noise", [1e-12, 1e-11, 1e-10, 1e-9, 1e-8])
def test_noise_above_the_tolerance_is_taken_for_what_it_is(dimension, noise):
    points, corners = lattice(np.random.default_rng(dimension), dimension, noise)
    found = hull(points)
    known = {tuple(x) for x in found.tolist()}
    assert {tuple(x) for x in corners.tolist()} <= known
    for point in points:
        if tuple(point.tolist()) not in known:
            assert distance_to_hull(point, found) < 10 * CONTACT
        elif dimension == 3 and noise >= 1e-10:
            assert is_outside(point, found[(found != point).any(axis=1)])


@pytest.mark.parametrize("far", [0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150])
def test_a_turned_square_with_the_middles_of_its_sides_has_four_corners(far, size):
    rng = np.random.default_rng(0)
    for _ in range(50):
        placed = size * (SQUARE @ turn(rng, 2) + far * rng.normal(size=2))
        found = hull(placed)
        assert {tuple(x) for x in found.tolist()} == {tuple(x) for x in placed[:7:2].tolist()}


@pytest.mark.parametrize("height", [1, 1e-3, 1e-6, 1e-9, 1e-11])
def test_a_flattened_circle_keeps_its_vertices_in_order(height):
    angles = 2 * np.pi * np.arange(60) / 60
    rng = np.random.default_rng(0)
    circle = np.stack([np.cos(angles), height * np.sin(angles)], axis=1)
    found = hull(circle)
    start = int(np.flatnonzero((circle == found[0]).all(axis=1))[0])
    assert found.tolist() == np.roll(circle, -start, axis=0).tolist()
    assert len(hull(circle @ turn(rng, 2))) == 60
