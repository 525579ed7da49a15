from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.tropical import TropicalPolynomial, Zonotope, dual_subdivision, essential
from tests.tropical.strategies import polynomials

SETTINGS = settings(deadline=None, derandomize=True, max_examples=80)


def area(corners):
    following = np.roll(corners, -1, axis=0)
    return (corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]).sum() / 2


def rank(points):
    return np.linalg.matrix_rank(points - points[0]) if len(points) > 1 else 0


def cells_by_brute_force(polynomial):
    """Find the upper planes through d + 1 lifted points, and all monomials that lie on each."""
    exponents, coefficients = polynomial.exponents, polynomial.coefficients
    d, found = polynomial.dimension, set()
    for subset in combinations(range(len(coefficients)), d + 1):
        rows = np.column_stack([exponents[list(subset)], np.ones(d + 1)])
        if abs(np.linalg.det(rows)) < 0.5:  # the exponents are integers
            continue
        above = coefficients - np.column_stack([exponents, np.ones(len(exponents))]) @ (
            np.linalg.solve(rows, coefficients[list(subset)])
        )
        if above.max() < 1e-9:
            found.add(tuple(np.flatnonzero(above > -1e-9).tolist()))
    return found


@SETTINGS
@given(st.integers(1, 3).flatmap(lambda d: polynomials(d, 8)))
def test_cells_are_the_upper_faces(polynomial):
    if rank(polynomial.exponents) < polynomial.dimension:
        return
    subdivision = dual_subdivision(polynomial)
    expected = cells_by_brute_force(polynomial)
    assert len(subdivision.cells) == len(expected)
    for cell in subdivision.cells:
        # The corners of one brute-force cell, without the monomials in between.
        assert sum(set(cell.tolist()) <= set(other) for other in expected) == 1


@SETTINGS
@given(st.integers(1, 3).flatmap(lambda d: polynomials(d, 8)))
def test_the_monomials_of_a_cell_tie_for_the_maximum_at_its_point(polynomial):
    subdivision = dual_subdivision(polynomial)
    assert len(subdivision.cells) == len(subdivision.points) > 0
    for cell, x in zip(subdivision.cells, subdivision.points, strict=True):
        values = polynomial.exponents @ x + polynomial.coefficients
        assert np.allclose(values[cell], values.max(), atol=1e-8)


@SETTINGS
@given(polynomials(2, 9))
def test_planar_cells_tile_the_newton_polygon(polynomial):
    if rank(polynomial.exponents) < 2:
        return
    subdivision = dual_subdivision(polynomial)
    areas = [area(polynomial.exponents[cell]) for cell in subdivision.cells]
    assert min(areas) > 0.4  # integer corners, counter-clockwise
    assert sum(areas) == pytest.approx(area(polynomial.newton_polytope()))
    sides = {
        tuple(sorted(side))
        for cell in subdivision.cells
        for side in zip(cell.tolist(), np.roll(cell, -1).tolist(), strict=True)
    }
    assert sorted(map(tuple, subdivision.edges.tolist())) == sorted(sides)


@SETTINGS
@given(polynomials(3, 8), st.integers(0, 2**32 - 1))
def test_neighbours_along_random_lines_are_edges(polynomial, seed):
    # A generic line crosses the hypersurface only where the two monomials of an edge tie.
    rng = np.random.default_rng(seed)
    edges = {tuple(e) for e in dual_subdivision(polynomial).edges.tolist()}
    start, along = rng.normal(size=(2, 3))
    slopes = polynomial.exponents @ along
    values = polynomial.exponents @ start + polynomial.coefficients
    here = int(np.argmin(slopes))
    while True:
        steeper = slopes > slopes[here] + 1e-12
        if not steeper.any():
            return
        meets = np.full(len(slopes), np.inf)
        meets[steeper] = (values[here] - values[steeper]) / (slopes[steeper] - slopes[here])
        # Of several that meet at once, the steepest is the largest afterwards.
        after = int(np.argmax(np.where(meets < meets.min() + 1e-9, slopes, -np.inf)))
        assert tuple(sorted((here, after))) in edges
        here = after


def is_dominated(k, polynomial):
    """Tell whether a mean of at most d + 1 other lifted points lies at or above one."""
    lifted = np.column_stack([polynomial.exponents, np.ones(len(polynomial.exponents))])
    others = [i for i in range(len(lifted)) if i != k]
    for size in range(1, polynomial.dimension + 2):
        for subset in map(list, combinations(others, size)):
            weights = np.linalg.lstsq(lifted[subset].T, lifted[k], rcond=None)[0]
            if (
                np.allclose(weights @ lifted[subset], lifted[k])
                and weights.min() > -1e-9
                and weights @ polynomial.coefficients[subset] > polynomial.coefficients[k] - 1e-9
            ):
                return True
    return False


@settings(SETTINGS, max_examples=30)
@given(st.integers(1, 3).flatmap(lambda d: polynomials(d, 7)), st.integers(0, 2**32 - 1))
def test_essential_keeps_the_function_and_only_what_it_needs(polynomial, seed):
    reduced = essential(polynomial)
    x = np.random.default_rng(seed).normal(size=(200, polynomial.dimension)) * 5
    assert np.allclose(reduced(x), polynomial(x))
    needed = [k for k in range(len(polynomial.exponents)) if not is_dominated(k, polynomial)]
    assert reduced.exponents.tolist() == polynomial.exponents[needed].tolist()


def test_a_monomial_below_the_others_is_removed():
    polynomial = TropicalPolynomial([[0, 0], [1, 0], [2, 0], [0, 2], [1, 1]], [0, -1, 0, 0, 0])
    assert essential(polynomial).exponents.tolist() == [[0, 0], [0, 2], [2, 0]]


def test_one_plane_gives_one_cell_and_one_monomial_a_point():
    exponents = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 1]])
    flat = dual_subdivision(TropicalPolynomial(exponents, exponents @ [2, -3] + 5))
    assert len(flat.cells) == 1
    assert flat.points.tolist() == [pytest.approx([-2, 3])]
    assert len(flat.cells[0]) == 4  # (1, 1) lies between (0, 1) and (2, 1)
    single = dual_subdivision(TropicalPolynomial([[1, 2]], [3]))
    assert [c.tolist() for c in single.cells] == [[0]]
    assert single.edges.shape == (0, 2)


def test_collinear_exponents_are_subdivided_along_their_line():
    polynomial = TropicalPolynomial([[0, 0], [1, 1], [2, 2], [3, 3]], [0, 2, 3, -9])
    subdivision = dual_subdivision(polynomial)
    assert sorted(c.tolist() for c in subdivision.cells) == [[0, 1], [1, 2], [2, 3]]
    assert subdivision.edges.tolist() == [[0, 1], [1, 2], [2, 3]]


def test_a_product_of_lines_is_dual_to_a_tiling_of_its_zonotope():
    rng = np.random.default_rng(0)
    product = TropicalPolynomial(np.zeros((1, 2)), [0])
    generators = rng.normal(size=(6, 2))
    for row in generators:
        product = product * TropicalPolynomial([np.zeros(2), row], rng.normal(size=2))
    subdivision = dual_subdivision(product)
    # Six lines in general position have 15 crossings and 22 regions.
    assert [len(c) for c in subdivision.cells] == [4] * 15
    assert len(essential(product).coefficients) == 22
    areas = [area(product.exponents[c]) for c in subdivision.cells]
    assert sum(areas) == pytest.approx(Zonotope(generators, np.zeros(2)).volume())
