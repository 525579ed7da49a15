"""Turns, and small whole numbers: zero, repeated, parallel and coplanar ones are frequent."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from localbook.tropical import TropicalPolynomial, Zonotope


def integers(shape, low, high):
    return hnp.arrays(np.int64, shape, elements=st.integers(low, high))


def generators(dimensions, most, size=2):
    """Up to so many generators (p, d) of whole numbers up to a size, d between two."""
    return st.integers(*dimensions).flatmap(
        lambda d: st.integers(0, most).flatmap(lambda p: integers((p, d), -size, size))
    )


def zonotopes(dimensions, most):
    return generators(dimensions, most).flatmap(
        lambda rows: st.builds(Zonotope, st.just(rows), integers((rows.shape[1],), -3, 3))
    )


def polynomials(d, most, *, exponents=(0, 3), convention="max"):
    return st.integers(1, most).flatmap(
        lambda m: st.builds(
            TropicalPolynomial,
            integers((m, d), *exponents),
            integers((m,), -2, 2),
            st.just(convention),
        )
    )


def turn(rng, dimension):
    """A rotation drawn at random, perhaps with a reflection."""
    return np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
