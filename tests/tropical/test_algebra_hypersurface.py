import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.errors import GeometryError
from localbook.tropical import TropicalPolynomial, hypersurface
from tests.tropical.strategies import polynomials

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


def crossings(polynomial, start, along):
    """Walk along a line from start to start + along: where do the largest monomials change?"""
    slopes = polynomial.exponents @ along
    values = polynomial.exponents @ start + polynomial.coefficients
    here, found = int(np.argmax(values)), []
    while True:
        steeper = slopes > slopes[here] + 1e-12
        meets = np.full(len(slopes), np.inf)
        meets[steeper] = (values[here] - values[steeper]) / (slopes[steeper] - slopes[here])
        at = float(meets.min())
        # Of several that meet at once, the steepest is the largest afterwards.
        here = int(np.argmax(np.where(meets < at + 1e-9, slopes, -np.inf)))
        if at >= 1:
            return found
        found.append(at)


def meets_segment(start, along, segment):
    matrix = np.column_stack([along, segment[0] - segment[1]])
    if abs(np.linalg.det(matrix)) < 1e-12:
        return False
    t, s = np.linalg.solve(matrix, segment[0] - start)
    return 0 < t < 1 and 0 <= s <= 1


def meets_polygon(start, along, polygon):
    normal = np.cross(polygon[1] - polygon[0], polygon[2] - polygon[0])
    t = normal @ (polygon[0] - start) / (normal @ along)
    if not 0 < t < 1:
        return False
    x = start + t * along
    sides = np.cross(np.roll(polygon, -1, axis=0) - polygon, x - polygon) @ normal
    return bool((sides >= 0).all() or (sides <= 0).all())


@SETTINGS
@given(st.integers(2, 3).flatmap(lambda d: polynomials(d, 9)), st.integers(0, 2**32 - 1))
def test_random_segments_cross_as_many_pieces_as_monomials_change(polynomial, seed):
    rng = np.random.default_rng(seed)
    d = polynomial.dimension
    pieces = hypersurface(polynomial, [(-3, 3)] * d).pieces
    meets = meets_segment if d == 2 else meets_polygon
    for _ in range(5):
        start, end = rng.uniform(-3, 3, size=(2, d))
        count = sum(meets(start, end - start, piece) for piece in pieces)
        assert count == len(crossings(polynomial, start, end - start))


@SETTINGS
@given(st.integers(2, 3).flatmap(lambda d: polynomials(d, 9)))
def test_two_monomials_tie_for_the_maximum_all_over_their_piece(polynomial):
    found = hypersurface(polynomial, [(-3, 3)] * polynomial.dimension)
    for piece, pair in zip(found.pieces, found.pairs, strict=True):
        assert np.abs(piece).max() <= 3 + 1e-9
        values = piece @ polynomial.exponents.T + polynomial.coefficients
        assert np.allclose(values[:, pair], values.max(axis=1, keepdims=True), atol=1e-9)


def test_the_tropical_line():
    line = TropicalPolynomial([[0, 0], [1, 0], [0, 1]], [0, 0, 0])
    found = hypersurface(line, ((-1, 1), (-2, 2)))
    assert found.segments.shape == (3, 2, 2)
    ends = {frozenset(map(tuple, s)) for s in found.segments.round(9).tolist()}
    assert ends == {
        frozenset({(0, 0), (-1, 0)}),
        frozenset({(0, 0), (0, -2)}),
        frozenset({(0, 0), (1, 1)}),
    }


def test_the_tropical_plane_has_six_polygons():
    plane = TropicalPolynomial(np.vstack([np.zeros(3), np.eye(3)]), np.zeros(4))
    found = hypersurface(plane, [(-1, 1)] * 3)
    assert len(found.pieces) == 6
    with pytest.raises(GeometryError, match="has polygons; use its pieces"):
        _ = found.segments
    assert sorted(map(tuple, found.pairs.tolist())) == [
        (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3),
    ]  # fmt: skip


def test_parallel_lines_and_nothing():
    lines = TropicalPolynomial([[0, 0], [1, 0], [2, 0]], [0, 0.5, 0])
    found = hypersurface(lines, [(-1, 1)] * 2)
    assert sorted(found.segments[:, :, 0].mean(axis=1).tolist()) == [-0.5, 0.5]
    assert np.ptp(found.segments[:, :, 1], axis=1).tolist() == [2, 2]
    nothing = hypersurface(TropicalPolynomial([[1, 1]], [0]), [(-1, 1)] * 2)
    assert nothing.segments.shape == (0, 2, 2)
    assert nothing.pairs.shape == (0, 2)
    far = hypersurface(TropicalPolynomial([[0, 0, 0], [1, 0, 0]], [0, 9]), [(-1, 1)] * 3)
    assert far.pieces == ()


def test_lines_in_general_position_are_cut_at_their_crossings():
    rng = np.random.default_rng(0)
    product = TropicalPolynomial(np.zeros((1, 2)), [0])
    for row in rng.normal(size=(7, 2)):
        product = product * TropicalPolynomial([np.zeros(2), row], rng.normal(size=2))
    # Each of 7 lines is cut into 7 by its 6 crossings.
    assert len(hypersurface(product, [(-1e3, 1e3)] * 2).pieces) == 49


def test_bad_boxes_and_dimensions_are_refused():
    line = TropicalPolynomial([[0], [1]], [0, 0])
    plane = TropicalPolynomial([[0, 0], [1, 0]], [0, 0])
    with pytest.raises(GeometryError, match="drawn in 2 or 3 variables, not 1; fix the others"):
        hypersurface(line, [(-1, 1)])
    with pytest.raises(GeometryError, match="the box is empty; give"):
        hypersurface(plane, [(-1, 1), (2, 2)])
    with pytest.raises(GeometryError, match=r"the box must have shape \(2, 2\)"):
        hypersurface(plane, [(-1, 1)])
