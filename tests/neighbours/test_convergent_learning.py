"""Partners, rotations, sparse prediction and clusters of two layers' units, and their records."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.metrics import r2_score

from localbook import local, runs
from localbook.errors import ConfigError
from localbook.experiments import run
from localbook.neighbours import convergent_learning as shared

NAME = "convergent-learning"


def layers(seed=0, units=6, images=30, common=1.0):
    """Two layers (images, units, 2, 3) that see the same things, mixed differently."""
    draw = torch.Generator().manual_seed(seed)
    seen = torch.randn(images, units, 2, 3, generator=draw)
    mix = torch.randn(2, units, units, generator=draw)
    noise = torch.randn(2, images, units, 2, 3, generator=draw)
    return [
        (torch.einsum("vu,nuhw->nvhw", m, seen) * common + n).relu()
        for m, n in zip(mix, noise, strict=True)
    ]


def matrix(layer):
    return np.stack([layer[:, c].flatten().double().numpy() for c in range(layer.shape[1])], axis=1)


def test_correlations_are_pearsons_with_each_position_a_sample():
    a, b = layers()
    x, y = matrix(a), matrix(b)
    by_hand = [[pearsonr(u, v).statistic for v in y.T] for u in x.T]
    C = shared.correlation(a, b)
    np.testing.assert_allclose(C, by_hand, atol=1e-6)
    semi, one = shared.semi_match(a, b), local.match_neurons(a, b)
    assert np.array_equal(semi.partner, np.argmax(by_hand, axis=1))
    np.testing.assert_allclose(shared.assigned(C), one.correlation, atol=1e-9)
    assert semi.correlation.sum() >= one.correlation.sum() - 1e-12


@settings(max_examples=25)
@given(st.integers(3, 7), st.booleans(), st.integers(0, 99), st.sampled_from(["", "dead", "twin"]))
def test_a_rotation_is_orthogonal_and_correlations_follow_it(units, keep_mean, seed, fault):
    Q = shared.rotation(units, np.random.default_rng(seed), keep_mean=keep_mean)
    np.testing.assert_allclose(Q.T @ Q, np.eye(units), atol=1e-12)
    assert np.allclose(Q.sum(axis=0), 1) == keep_mean
    a, b = layers(seed, units)
    if fault:
        b[:, 0] = 3.0 if fault == "dead" else b[:, 1]
    turned = shared.rotated(b, Q)
    assert turned.shape == b.shape
    found = shared.turned(shared.correlation(a, b), shared.correlation(b, b), Q)
    np.testing.assert_allclose(found, shared.correlation(a, turned), atol=1e-9)


def test_what_units_have_in_common_survives_only_the_rotation_that_keeps_it():
    draw = torch.Generator().manual_seed(0)
    light = torch.randn(400, 1, generator=draw)
    a, b = (light + 0.3 * torch.randn(400, 8, generator=draw) for _ in range(2))
    rng = np.random.default_rng(0)
    matched = [
        local.match_neurons(a, shared.rotated(b, shared.rotation(8, rng, keep_mean=kept)))
        for kept in (True, False)
    ]
    kept, lost = (m.correlation.mean() for m in matched)
    assert kept > 0.85 > 0.6 > lost


def split(a, b):
    fit = np.arange(len(a)) % 2 == 0
    return shared.moments(a, b, fit), [(matrix(z[fit]), matrix(z[~fit])) for z in (a, b)]


def test_r2_is_that_of_least_squares_on_images_held_out():
    m, ((x, new_x), (y, new_y)) = split(*layers())
    model = LinearRegression().fit(x, y)
    expected = r2_score(new_y, model.predict(new_x), multioutput="raw_values")
    np.testing.assert_allclose(shared.r2(m, *m.sides), expected, atol=1e-6)
    back = LinearRegression().fit(y[:, 2:3], x[:, 1])
    expected = r2_score(new_x[:, 1], back.predict(new_y[:, 2:3]))
    assert shared.r2(m, [6 + 2], [1])[0] == pytest.approx(expected, abs=1e-6)
    centred = 1 - np.mean((new_y - y.mean(0)) ** 2, axis=0) / new_y.var(axis=0)
    np.testing.assert_allclose(shared.r2(m, [], m.sides[1]), centred, atol=1e-6)


def test_a_rotation_changes_what_few_units_tell_but_not_what_all_tell():
    a, b = layers(common=3.0)
    b = a + 0.2 * b  # the same basis
    Q = shared.rotation(6, np.random.default_rng(1), keep_mean=True)
    (m, _), (other, _) = split(a, b), split(shared.rotated(a, Q), b)
    np.testing.assert_allclose(shared.r2(m, *m.sides), shared.r2(other, *m.sides), atol=1e-9)
    one, turned = (shared.sparse(z, *m.sides, (1,)).mean() for z in (m, other))
    assert one > turned + 0.1


def test_supports_are_those_of_the_lasso():
    m, ((x, _), (y, _)) = split(*layers(5))
    z = (x - x.mean(0)) / x.std(0)
    target = (y[:, 0] - y[:, 0].mean()) / y[:, 0].std()
    path = [np.flatnonzero(Lasso(alpha=lam, tol=1e-6).fit(z, target).coef_)
            for lam in np.geomspace(1, 1e-3, 400)]  # fmt: skip
    for count, found in zip((1, 2, 4), shared.supports(m, m.sides[0], 6, (1, 2, 4)), strict=True):
        first = next((i for i, s in enumerate(path) if len(s) > count), len(path))
        assert found.tolist() == path[first - 1].tolist()


def test_clusters_find_groups_and_beat_random_ones_of_the_same_sizes():
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, 3, 2, generator=draw)  # three planes, each in four units of a layer
    mixes = torch.randn(2, 3, 2, 4, generator=draw)
    a, b = (torch.einsum("nkd,kdu->nku", hidden, mix).flatten(1) for mix in mixes)
    m, _ = split(a, b)
    labels = shared.clusters(m, 3, seed=0)
    truth = np.tile(np.repeat(np.arange(3), 4), 2)
    assert len(set(zip(labels, truth, strict=True))) == 3
    np.testing.assert_allclose(shared.within(m, labels), 1, atol=1e-6)
    assert shared.within(m, labels, best_only=True).mean() < 0.95  # a plane is not one unit
    other = shared.reassigned(m, labels, np.random.default_rng(0))
    for side in m.sides:
        assert np.array_equal(np.bincount(other[side]), np.bincount(labels[side]))
    assert shared.within(m, other).mean() < 0.9
    alone = np.repeat([0, 1], 12)  # no cluster has units of both
    assert not shared.within(m, alone).any()


def test_a_unit_that_is_dead_on_either_part_is_left_out():
    a, b = layers()
    a[::2, 1], b[1::2, 4] = 0.0, 2.0
    m, _ = split(a, b)
    assert m.first == 5
    assert len(m.fit) == 10
    assert np.isfinite(shared.r2(m, *m.sides)).all()


def test_units_that_say_the_same_are_no_trouble_to_the_lasso():
    a, b = layers()
    a[:, 1] = a[:, 0]
    m, _ = split(a, b)
    assert np.isfinite(shared.sparse(m, *m.sides, (1, 3))).all()
    assert np.isfinite(shared.r2(m, *m.sides)).all()


def test_records_are_the_same_each_time_and_the_diagonal_is_no_pair(tmp_path):
    methods = ["bp-bp", "bp-local"]
    one = [runs.read(p) for p in run(NAME, out=tmp_path / "a", seeds=1, methods=methods)]
    (again,) = (runs.read(p) for p in run(NAME, out=tmp_path / "b", seeds=1, methods=["bp-local"]))
    assert again.history == one[1].history
    for record in one:
        row = record.final[0]
        assert all(b >= a for a, b in zip(row["one"], row["semi"], strict=True))
        for found, turned in zip(row["sparse"], row["sparse_rotated"], strict=True):
            assert found[-1] == pytest.approx(turned[-1], abs=2e-4)  # all units: no basis
        assert [h["module"] for h in record.history] == [1, 2]
    assert "again" in one[0].final[0]
    assert "again" not in one[1].final[0]


def test_bad_input_is_refused_in_one_sentence():
    a, b = layers()
    m, _ = split(a, b)
    with pytest.raises(ConfigError, match="a layer has shape"):
        shared.samples(torch.zeros(3, 2, 2))
    with pytest.raises(ConfigError, match="on the same images"):
        shared.correlation(a, b[1:])
    with pytest.raises(ConfigError, match="leaves some on both sides"):
        shared.moments(a, b, np.ones(len(a)))
    with pytest.raises(ConfigError, match="at least 3"):
        shared.rotation(2, np.random.default_rng(0), keep_mean=True)
    with pytest.raises(ConfigError, match="counts above 0"):
        shared.supports(m, m.sides[0], 6, (0,))
    with pytest.raises(ConfigError, match="make 2 to 11 clusters"):
        shared.clusters(m, 12, 0)
