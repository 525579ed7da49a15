"""Measures of conditions: parallelism and generalisation beside slow ones, a cube, a simplex."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import Ridge

from localbook.errors import ConfigError
from localbook.local import ccgp, inherited, parallelism

CUBE = np.array(list(product((-1.0, 1.0), repeat=3)))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(hnp.arrays(float, (6, 3), elements=st.floats(-3, 3).map(lambda v: round(v, 2))))
def test_parallelism_is_the_best_mean_cosine_over_all_pairings(R):
    t = np.array([1.0, -1, -1, 1, 1, -1])
    best = -1.0
    for order in permutations([1, 2, 5]):
        v = [R[i] - R[j] for i, j in zip([0, 3, 4], order, strict=True)]
        lengths = [np.linalg.norm(a) or 1.0 for a in v]
        cosines = [
            v[i] @ v[j] / lengths[i] / lengths[j] for i in range(3) for j in range(3) if i != j
        ]
        best = max(best, float(np.mean(cosines)))
    assert parallelism(R, t) == pytest.approx(best, abs=1e-9)


def test_measures_know_a_cube_and_a_simplex():
    y, cluster = CUBE[:, 0], np.arange(8)
    assert parallelism(CUBE, y) == pytest.approx(1)
    assert parallelism(np.eye(8), y) == pytest.approx(0, abs=1e-9)
    assert ccgp(CUBE, cluster, y) == 1
    assert ccgp(np.eye(8), cluster, y) <= 0.5
    assert inherited(np.outer(y, [2.0, -1.0, 0.0]), y) == pytest.approx(1)
    assert inherited(CUBE, y) == pytest.approx(1 / 3)
    assert inherited(np.ones((8, 2)), y) == 0


def test_generalisation_across_conditions_is_that_of_a_library_s_ridge_regression():
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(6), 5)
    R, t = (
        rng.normal(size=(6, 4))[cluster] + 0.5 * rng.normal(size=(30, 4)),
        1.0 - 2 * (cluster % 2),
    )
    found = []
    for up in (0, 2, 4):
        for down in (1, 3, 5):
            out = (cluster == up) | (cluster == down)
            alpha = 20 * R[~out].var(0).mean()
            machine = Ridge(alpha=alpha).fit(R[~out], t[~out])
            found.append(np.mean(np.sign(machine.predict(R[out])) == t[out]))
    assert ccgp(R, cluster, t) == pytest.approx(np.mean(found))
    assert 0.2 < np.mean(found) < 0.9


@given(st.integers(0, 99), st.floats(0.01, 100))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_turning_scaling_and_shifting_a_layer_changes_what_it_should(seed, scale):
    rng = np.random.default_rng(seed)
    R, t, cluster = rng.normal(size=(16, 3)), np.repeat(CUBE[:, 0], 2), np.repeat(np.arange(8), 2)
    turned = scale * R @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + 5
    some = [0, 2, 4, 8, 10, 12]
    assert parallelism(turned[some], t[some]) == pytest.approx(parallelism(R[some], t[some]))
    assert ccgp(turned, cluster, t) == pytest.approx(ccgp(R, cluster, t))
    assert inherited(scale * R + 5, t) == pytest.approx(inherited(R, t))
    each = np.corrcoef(R.T, t)[-1, :-1]
    assert inherited(R, t) == pytest.approx(np.square(each).mean())


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="two to six of each class"):
        parallelism(CUBE, np.array([1.0] + [-1] * 7))
    with pytest.raises(ConfigError, match="two of each"):
        ccgp(CUBE, np.arange(8) // 4, np.repeat([1.0, -1], 4))
    with pytest.raises(ConfigError, match="one that varies"):
        inherited(CUBE, np.full(8, 0.1))
    for refused in (
        lambda: parallelism(CUBE, CUBE[:4, 0]),
        lambda: ccgp(CUBE, np.arange(4), CUBE[:, 0]),
        lambda: inherited(CUBE[0], CUBE[:, 0]),
    ):
        with pytest.raises(ConfigError, match="one number for each row"):
            refused()
