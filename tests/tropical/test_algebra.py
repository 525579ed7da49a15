import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from localbook.errors import GeometryError
from localbook.tropical import TropicalPolynomial, TropicalRational, Zonotope, variables
from tests.tropical.strategies import polynomials

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


TRIPLES = st.integers(1, 3).flatmap(
    lambda d: st.tuples(*[polynomials(d, 5, exponents=(-2, 3))] * 3)
)
POINTS = hnp.arrays(np.int64, (12, 3), elements=st.integers(-9, 9))


def monomials(polynomial):
    return list(zip(polynomial.exponents.tolist(), polynomial.coefficients.tolist(), strict=True))


def brute_force(polynomial, x):
    return max(c + sum(a * b for a, b in zip(e, x, strict=True)) for e, c in monomials(polynomial))


@SETTINGS
@given(TRIPLES, POINTS)
def test_operations_are_max_and_plus_of_functions(triple, points):
    p, q, _ = triple
    x = points[:, : p.dimension]
    expected = np.array([brute_force(p, y) for y in x.tolist()])
    # Integers: every value is exact.
    assert np.array_equal(p(x), expected)
    assert np.array_equal((p + q)(x), np.maximum(p(x), q(x)))
    assert np.array_equal((p * q)(x), p(x) + q(x))
    assert np.array_equal((p**3)(x), 3 * p(x))
    assert np.array_equal((p / q)(x), p(x) - q(x))


@SETTINGS
@given(TRIPLES)
def test_polynomials_form_a_commutative_semiring(triple):
    p, q, r = triple
    one = TropicalPolynomial(np.zeros((1, p.dimension)), [0])
    for left, right in (
        (p + q, q + p),
        (p + p, p),
        ((p + q) + r, p + (q + r)),
        (p * q, q * p),
        ((p * q) * r, p * (q * r)),
        (p * (q + r), p * q + p * r),
        (p * one, p),
        (p**0, one),
        (p**1, p),
    ):
        assert monomials(left) == monomials(right)
        assert left == right
        assert hash(left) == hash(right)
    assert (p == q) == (monomials(p) == monomials(q))


@SETTINGS
@given(TRIPLES, TRIPLES, POINTS)
def test_rational_operations_are_those_of_functions(first, second, points):
    d = min(first[0].dimension, second[0].dimension)
    p, q, r, s = (
        TropicalPolynomial(t.exponents[:, :d], t.coefficients) for t in (*first[:2], *second[:2])
    )
    f, g, x = TropicalRational(p, q), r / s, points[:, :d]
    assert np.array_equal((f + g)(x), np.maximum(f(x), g(x)))
    assert np.array_equal((f * g)(x), f(x) + g(x))
    assert np.array_equal((f / g)(x), f(x) - g(x))
    assert np.array_equal((f**2)(x), 2 * f(x))
    assert np.array_equal((f**-3)(x), -3 * f(x))
    assert f.dimension == d


@SETTINGS
@given(TRIPLES, POINTS, st.integers(-5, 5))
def test_numbers_and_polynomials_are_quotients_and_constants(triple, points, k):
    p, q, r = triple
    f, x = q / r, points[:, : p.dimension]
    for number in (k, float(k), np.float64(k), np.int64(k)):
        for left, right in (
            (p + number, np.maximum(p(x), k)),
            (number + p, np.maximum(p(x), k)),
            (number * p, p(x) + k),
            (p / number, p(x) - k),
            (number / p, k - p(x)),
            (number + f, np.maximum(f(x), k)),
            (f * number, f(x) + k),
            (number / f, k - f(x)),
        ):
            assert np.array_equal(left(x), right)
    for left, right in (
        (p + f, np.maximum(p(x), f(x))),
        (f + p, np.maximum(p(x), f(x))),
        (p * f, p(x) + f(x)),
        (p / f, p(x) - f(x)),
        (f / p, f(x) - p(x)),
    ):
        assert isinstance(left, TropicalRational)
        assert np.array_equal(left(x), right)


def test_expressions_read_as_they_are_written():
    x, y = variables(2)
    line = 0 + x + 2 * y
    assert monomials(line) == [([0, 0], 0), ([0, 1], 2), ([1, 0], 0)]
    assert str(line) == "max(0, 2 + x2, x1)"
    assert str(x * y**0.5 * -1.25) == "-1.25 + x1 + 0.5 x2"
    assert str(TropicalPolynomial([[-1, 0], [0, -2]], [-3, 0])) == "max(-3 - x1, -2 x2)"
    assert str(x**0) == "0"
    assert str(line / x) == "max(0, 2 + x2, x1) - (x1)"
    assert str(x / line) == "x1 - max(0, 2 + x2, x1)"
    assert repr(line) == "<TropicalPolynomial max(0, 2 + x2, x1)>"
    assert repr(x / y) == "<TropicalRational x1 - (x2)>"
    many = TropicalPolynomial(np.arange(15)[:, None], np.zeros(15))
    assert len(many) == 15
    assert str(many).startswith("max(0, x1, 2 x1, ")
    assert str(many).endswith("11 x1, ... 3 more)")


def test_negative_zero_is_zero():
    x, y = variables(2)
    assert str(-0.0 * x) == "x1"
    assert hash(TropicalPolynomial([[-0.0, 1]], [-0.0])) == hash(y)


def test_operands_of_other_kinds_are_refused():
    (x,) = variables(1)
    for wrong in ("2", None, {}, 1j, np.zeros(2)):
        for expression in (
            lambda w: x + w, lambda w: w * x, lambda w: x / w, lambda w: w / x,
            lambda w: x / x + w, lambda w: w * (x / x), lambda w: w / (x / x),
            lambda w: (x / x) / w,
        ):  # fmt: skip
            with pytest.raises(TypeError, match=r"unsupported operand|non-int|ufuncs"):
                expression(wrong)
    assert (x == 3) is False
    for count in (0, -1, 2.0, "2"):
        with pytest.raises(GeometryError, match="variables; ask for 1 or more"):
            variables(count)
    with pytest.raises(GeometryError, match="the coefficients must be finite"):
        x + -np.inf
    with pytest.raises(GeometryError, match="in 1 and 2 variables do not combine"):
        (x / x) * variables(2)[0]


def test_a_product_of_binomials_has_a_zonotope_for_its_newton_polytope():
    rng = np.random.default_rng(0)
    for d in (2, 3):
        generators = rng.normal(size=(6, d))
        product = TropicalPolynomial(np.zeros((1, d)), [0])
        for row in generators:
            product = product * TropicalPolynomial([np.zeros(d), row], rng.normal(size=2))
        assert len(product.coefficients) == 64
        expected = Zonotope(generators, np.zeros(d)).vertices()
        assert np.allclose(np.sort(product.newton_polytope(), axis=0), np.sort(expected, axis=0))


def test_the_newton_polytope_of_few_collinear_or_repeated_exponents():
    assert TropicalPolynomial([[1, 2], [1, 2]], [0, 3]).newton_polytope().tolist() == [[1, 2]]
    line = TropicalPolynomial([[0, 0], [1, 1], [3, 3], [2, 2]], np.zeros(4))
    assert line.newton_polytope().tolist() == [[0, 0], [3, 3]]
    square = TropicalPolynomial([[0, 0], [1, 0], [2, 0], [2, 2], [0, 2], [1, 1]], np.zeros(6))
    assert square.newton_polytope().tolist() == [[0, 0], [2, 0], [2, 2], [0, 2]]


def test_repeated_exponents_keep_the_largest_coefficient():
    polynomial = TropicalPolynomial([[1, 0], [0, 0], [1, 0]], [2, 1, 5])
    assert monomials(polynomial) == [([0, 0], 1), ([1, 0], 5)]


def test_shapes_of_values_follow_the_points():
    polynomial = TropicalPolynomial([[1, 0], [0, 1]], [0, 0])
    assert polynomial([3, 4]) == 4
    assert polynomial(np.zeros((2, 5, 2))).shape == (2, 5)
    assert polynomial(np.zeros((0, 2))).shape == (0,)


def test_bad_input_is_refused():
    plane, line = TropicalPolynomial([[1, 0]], [0]), TropicalPolynomial([[1]], [0])
    for exponents, coefficients, words in (
        (np.zeros((0, 2)), [], "needs at least one monomial; add one"),
        (np.zeros((1, 0)), [0], "needs at least one variable; add one"),
        ([[1, 0]], [np.nan], "the coefficients must be finite"),
        ([[np.inf, 0]], [0], "the exponents must be finite"),
        ([[1, 0]], [0, 1], r"the exponents must have shape \(2, any\), not \(1, 2\)"),
    ):
        with pytest.raises(GeometryError, match=words):
            TropicalPolynomial(exponents, coefficients)
    for combine in (plane.__add__, plane.__mul__, plane.__truediv__):
        with pytest.raises(GeometryError, match="in 2 and 1 variables do not combine"):
            combine(line)
    with pytest.raises(GeometryError, match="divide for a negative one"):
        plane**-1
    with pytest.raises(GeometryError, match="the points must have shape"):
        plane([1, 2, 3])
