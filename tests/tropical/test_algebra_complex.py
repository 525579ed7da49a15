from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from localbook.errors import GeometryError
from localbook.tropical import (
    ReLUNetwork,
    TropicalPolynomial,
    dual_subdivision,
    essential,
    hypersurface,
    polyhedral_complex,
    rational,
    rational_pieces,
    variables,
)
from tests.tropical.networks import random_network, small_integer_networks
from tests.tropical.strategies import polynomials

SETTINGS = settings(deadline=None, derandomize=True, max_examples=40)


def lattice_points(polygon, strict):
    """Count whole points of a counter-clockwise polygon with whole corners, by looking at all."""
    low, high = polygon.min(axis=0).astype(int), polygon.max(axis=0).astype(int)
    grid = np.stack(np.meshgrid(*map(np.arange, low, high + 1)), axis=-1).reshape(-1, 2)
    side, to = np.roll(polygon, -1, axis=0) - polygon, grid[:, None] - polygon
    turn = side[:, 0] * to[..., 1] - side[:, 1] * to[..., 0]
    return grid[(turn > 0 if strict else turn >= 0).all(axis=1)]


@SETTINGS
@given(st.integers(1, 3).flatmap(lambda d: polynomials(d, 9)))
def test_pieces_are_ties_for_the_maximum_and_the_complex_is_balanced(polynomial):
    found = polyhedral_complex(polynomial)
    for (vertices, rays), (i, j) in zip(found.pieces, found.pairs, strict=True):
        # Anything in the piece: a mean of its vertices, far along its rays and any lineality.
        x = found.vertices[vertices].mean(axis=0) + 7 * found.rays[rays].sum(axis=0)
        x = x + 3 * found.lineality.sum(axis=0)
        values = polynomial.exponents @ x + polynomial.coefficients
        assert np.allclose(values[[i, j]], values.max(), atol=1e-8)
    assert found.imbalance() < 1e-9


@SETTINGS
@given(st.integers(2, 3).flatmap(lambda d: polynomials(d, 9)))
def test_in_a_box_the_complex_is_the_hypersurface(polynomial):
    whole, box = polyhedral_complex(polynomial), 50.0
    cut = hypersurface(polynomial, [(-box, box)] * polynomial.dimension)
    inside = np.abs(whole.vertices).max(axis=1) < box
    pairs = {tuple(p): n for n, p in enumerate(whole.pairs.tolist())}
    for piece, pair in zip(cut.pieces, cut.pairs.tolist(), strict=True):
        vertices, rays = whole.pieces[pairs[tuple(pair)]]
        at_corner = np.abs(piece[:, None] - whole.vertices[vertices]).max(axis=-1) < 1e-7
        if not len(whole.lineality):
            assert at_corner.any(axis=0)[inside[vertices]].all()
            within = np.abs(piece).max(axis=1) < box - 1e-7  # no corner but those of the complex
            assert at_corner.any(axis=1)[within].all()
            assert len(rays) == 0 or not within.all()


@SETTINGS
@given(polynomials(2, 10))
def test_exact_balance_and_genus_by_whole_numbers(polynomial):
    curve = polyhedral_complex(polynomial)
    polygon = polynomial.newton_polytope()
    if len(polygon) < 3:
        assert curve.genus == 0
        return
    # With primitive whole directions, in whole numbers, from the dual edges around a vertex.
    total = np.zeros_like(curve.vertices)
    for (vertices, rays), normal, weight in zip(
        curve.pieces, curve.normals, curve.weights, strict=True
    ):
        primitive = np.array([-normal[1], normal[0]]) / weight
        assert np.array_equal(primitive, np.rint(primitive))
        assert np.gcd(*np.rint(primitive).astype(int)) == 1
        for v in vertices:
            inner = curve.vertices[vertices].mean(axis=0) + curve.rays[rays].sum(axis=0)
            total[v] += weight * primitive * np.sign(primitive @ (inner - curve.vertices[v]))
    assert np.abs(total).max() == 0
    # Each cycle of the curve is around one corner of the subdivision inside the Newton polygon.
    used = polynomial.exponents[np.unique(np.concatenate(dual_subdivision(polynomial).cells))]
    interior = {tuple(p) for p in lattice_points(polygon, strict=True).tolist()}
    assert curve.genus == sum(tuple(map(int, e)) in interior for e in used.tolist())


@SETTINGS
@given(polynomials(2, 12), st.integers(1, 15), st.integers(0, 2**32))
def test_nearly_degenerate_curves_have_two_ends_to_each_piece(polynomial, digits, seed):
    rng = np.random.default_rng(seed)
    exponents, coefficients = (
        part + 10.0**-digits * rng.normal(size=part.shape)
        for part in (polynomial.exponents, polynomial.coefficients)
    )
    curve = polyhedral_complex(TropicalPolynomial(exponents, coefficients))
    if not len(curve.lineality):
        assert all(len(vertices) + len(rays) == 2 for vertices, rays in curve.pieces)
        assert len(curve.pieces) == len(curve.edges) + len(curve.rays)


@pytest.mark.parametrize("degree", range(1, 6))
def test_a_smooth_curve_has_the_genus_of_picks_formula(degree):
    exponents = [[i, j] for i in range(degree + 1) for j in range(degree + 1 - i)]
    heights = [-(i**2) - j**2 - i * j for i, j in exponents]
    curve = polyhedral_complex(TropicalPolynomial(exponents, heights))
    area, boundary = degree**2 / 2, 3 * degree
    assert curve.genus == area - boundary / 2 + 1 == (degree - 1) * (degree - 2) / 2
    assert (len(curve.vertices), len(curve.rays)) == (degree**2, 3 * degree)
    assert (curve.weights == 1).all()


def test_roots_of_one_variable_have_their_multiplicities():
    roots = polyhedral_complex(TropicalPolynomial([[0], [1], [3]], [0, 2, 1]))
    at = [roots.vertices[vertices].item() for vertices, _ in roots.pieces]
    multiplicity = dict(zip(np.round(at, 9).tolist(), roots.weights.tolist(), strict=True))
    assert multiplicity == {-2.0: 1.0, 0.5: 2.0}
    with pytest.raises(GeometryError, match="the genus is that of a curve"):
        _ = roots.genus


def test_more_than_three_variables_are_refused():
    with pytest.raises(GeometryError, match="up to 3 variables, not 4; fix the others"):
        polyhedral_complex(variables(4)[0])


@SETTINGS
@given(
    st.integers(1, 3).flatmap(lambda d: polynomials(d, 7, convention="min")), st.integers(0, 2**32)
)
def test_the_min_convention_is_the_max_one_upside_down(polynomial, seed):
    x = np.random.default_rng(seed).integers(-9, 10, size=(50, polynomial.dimension))
    values = x @ polynomial.exponents.T + polynomial.coefficients
    assert np.array_equal(polynomial(x), values.min(axis=1))
    assert np.array_equal(essential(polynomial)(x), values.min(axis=1))
    assert essential(polynomial).convention == "min"
    both = polynomial + 2 * polynomial**2
    assert np.array_equal(both(x), np.minimum(polynomial(x), 2 + 2 * polynomial(x)))
    dual = dual_subdivision(polynomial)
    for cell, point in zip(dual.cells, dual.points, strict=True):
        values = polynomial.exponents @ point + polynomial.coefficients
        assert np.allclose(values[cell], values.min(), atol=1e-8)


def test_a_min_line_has_its_rays_on_the_other_side_and_max_and_min_do_not_mix():
    x, y = variables(2, convention="min")
    line = x + y + 0
    assert str(line) == "min(x1, x2, 0)"
    rays = polyhedral_complex(line).rays
    assert sorted(map(tuple, rays.round(2).tolist())) == [(-0.71, -0.71), (0, 1), (1, 0)]
    u, _ = variables(2)
    for mixed in (lambda: x + u, lambda: u * x, lambda: (x / y) + u):
        with pytest.raises(GeometryError, match="a max polynomial and a min polynomial do not"):
            mixed()
    with pytest.raises(GeometryError, match="no convention 'mean': choose max or min"):
        variables(2, convention="mean")


def wins(function, i, j):
    """Ask a linear program whether monomials i and j win alone somewhere."""
    rows = []
    for part, k in ((function.numerator, i), (function.denominator, j)):
        others = np.delete(np.column_stack([part.exponents, part.coefficients]), k, axis=0)
        lead = others - np.append(part.exponents[k], part.coefficients[k])
        rows.append(np.insert(lead, -1, 1, axis=1))
    rows = np.vstack(rows)
    cost = np.append(np.zeros(function.dimension), -1)
    bounds = [(None, None)] * function.dimension + [(None, 1)]
    return linprog(cost, rows[:, :-1], -rows[:, -1], bounds=bounds).x[-1] > 1e-7


@settings(SETTINGS, max_examples=25)
@given(st.integers(1, 3).flatmap(lambda d: st.tuples(polynomials(d, 4), polynomials(d, 4))))
def test_pieces_of_a_quotient_are_the_pairs_that_a_linear_program_finds(parts):
    function = parts[0] / parts[1]
    found = rational_pieces(function)
    expected = [
        (i, j)
        for i in range(len(function.numerator))
        for j in range(len(function.denominator))
        if wins(function, i, j)
    ]
    assert sorted(map(tuple, found.pairs.tolist())) == expected
    assert len(found) == len(expected)


@SETTINGS
@given(small_integer_networks(), st.integers(0, 2**32))
def test_the_rational_functions_are_the_network_exactly_and_without_spare_monomials(network, seed):
    x = np.random.default_rng(seed).integers(-20, 21, size=(100, 2))
    for f, score in zip(rational(network), network(x).T, strict=True):
        assert np.array_equal(f(x), score)
        assert essential(f.numerator) == f.numerator
        assert essential(f.denominator) == f.denominator


@pytest.mark.parametrize("widths", [(1, 6, 6, 1), (2, 5, 4, 3, 2), (3, 5, 4, 1), (4, 5, 2)])
def test_rational_functions_of_deep_networks_in_one_to_four_inputs(widths):
    network = random_network(*widths, seed=3)
    x = np.random.default_rng(0).normal(size=(300, widths[0])) * 4
    values = np.stack([f(x) for f in rational(network)], axis=1)
    np.testing.assert_allclose(values, network(x), atol=1e-11)


def test_the_pieces_of_one_hidden_layer_are_counted_by_zaslavsky():
    network = random_network(2, 9, 1, seed=1)
    (f,) = rational(network)
    assert len(rational_pieces(f)) == 1 + 9 + 36


def test_what_is_too_large_to_prune_is_refused_in_a_sentence():
    rng = np.random.default_rng(0)
    widths = [6, 40, 1]
    weights = tuple(rng.normal(size=(o, i)) for i, o in pairwise(widths))
    network = ReLUNetwork(weights, tuple(rng.normal(size=o) for o in widths[1:]))
    with pytest.raises(GeometryError, match="in 6 variables has too many to prune: take fewer"):
        rational(network)
