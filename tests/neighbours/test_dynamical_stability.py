"""Stability of SGD: the threshold against the full map, gradients against autograd, claims."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import run, setting
from localbook.neighbours.dynamical_stability import Chain, Diagonal, Minimum, train

NAME = "dynamical-stability"
BATCHES = (1, 2, 8, 1e6, np.inf)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """The claims at ``quick``: all rows of a method."""
    found = map(runs.read, run(NAME, out=tmp_path_factory.mktemp("out")))
    return {record.method: record.history for record in found}


def values(rows, key):
    return np.array([row[key] for row in rows], dtype=float)


def radius(g, eta, batch):
    """The spectral radius of M ↦ E (I - ηĤ) M (I - ηĤ), as a matrix over all entries of M."""
    n, p = g.shape
    H, eye = g.T @ g / n, np.eye(p)
    each = [np.outer(v, v) for v in g]
    twice = sum(np.kron(m, m) for m in each) / n / batch + (1 - 1 / batch) * np.kron(H, H)
    T = np.eye(p * p) - eta * (np.kron(H, eye) + np.kron(eye, H)) + eta**2 * twice
    return np.abs(np.linalg.eigvals(T)).max()


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("law", ["normal", "heavy"])
def test_the_threshold_is_where_the_spectral_radius_passes_one(batch, law):
    rng = np.random.default_rng(0)
    for n in (5, 12):
        g = rng.normal(size=(n, 5)) if law == "normal" else rng.standard_t(2.5, size=(n, 5))
        at = Minimum(g)
        eta = at.largest_step(batch)
        assert radius(g, eta * 0.999, batch) <= 1 + 1e-12
        assert radius(g, eta * 1.001, batch) > 1
        assert eta <= at.bound(batch) * (1 + 1e-9)
        assert at.bound(batch) <= 2 * batch / at.trace * (1 + 1e-9)
        assert eta * at.top <= 2 * (1 + 1e-9)


def test_the_second_moment_of_simulated_deviations_grows_beyond_it_and_not_below():
    g = np.random.default_rng(3).normal(size=(8, 3))
    eta, rng = Minimum(g).largest_step(2), np.random.default_rng(1)
    size = {}
    for share in (0.7, 1.5):
        delta = rng.normal(size=(40_000, 3))
        for _ in range(12):
            some = g[rng.integers(8, size=(len(delta), 2))]  # (runs, B, p)
            along = np.einsum("rbp,rp->rb", some, delta)
            delta -= share * eta / 2 * np.einsum("rb,rbp->rp", along, some)
        size[share] = np.square(delta).sum(axis=1).mean()
    assert size[0.7] < 3 < size[1.5]


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 3),
    st.sampled_from(BATCHES),
    st.floats(1e-4, 1e4),
)
@settings(max_examples=40, deadline=None)
def test_repeated_parallel_and_zero_gradients_are_no_trouble(n, p, seed, batch, scale):
    rng = np.random.default_rng(seed)
    g = scale * np.vstack([np.outer(rng.integers(1, 4, size=2), rng.normal(size=p)), 0 * np.eye(p)])
    g = np.vstack([g, scale * rng.normal(size=(n, p))])
    at, large = Minimum(g), Minimum(10 * g)
    eta = at.largest_step(batch)
    assert large.largest_step(batch) == pytest.approx(eta / 100, rel=1e-6)
    assert Minimum(np.vstack([g, g])).largest_step(batch) == pytest.approx(eta, rel=1e-6)
    assert eta <= at.bound(batch) * (1 + 1e-6)
    assert radius(g, 0.99 * eta, batch) <= 1 + 1e-9
    assert radius(g, 1.01 * eta, batch) > 1


def test_orthogonal_gradients_of_one_length_reach_the_bound():
    at = Minimum(3 * np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0])
    for batch in BATCHES:
        assert at.largest_step(batch) == pytest.approx(at.bound(batch))
    assert at.largest_step(1) == pytest.approx(2 / at.trace)


def chain(local):
    rng = np.random.default_rng(2)
    w = [rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 6, 5)), rng.normal(size=(2, 3, 6))]
    return Chain(w, [rng.normal(size=(2, m)) for m in (5, 6, 3)], local)


def outputs(net, weights, x):
    """Every judged output of network 1, by torch; modules detach what they are given."""
    if isinstance(net, Diagonal):
        return [x @ (weights[0] * weights[1])]
    found, h = [], x
    for w, a in zip(weights[::2], weights[1::2], strict=True):
        h = torch.relu((h.detach() if net.local else h) @ w.T)
        found.append(h @ a)
    return found if net.local else found[-1:]


@pytest.mark.parametrize("kind", ["diagonal", "modules", "end to end"])
def test_steps_and_gradients_are_those_of_autograd(kind):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(7, 4)), rng.normal(size=7)
    net = chain(kind == "modules")
    parts = [part for pair in zip(net.w, net.a, strict=True) for part in pair]
    if kind == "diagonal":
        net = Diagonal(*rng.normal(size=(2, 2, 4)))
        parts = [net.a, net.b]
    weights = [torch.tensor(part[1], requires_grad=True) for part in parts]
    found = outputs(net, weights, torch.tensor(x))
    lengths = []
    for sample in range(len(x)):
        total = sum(f[sample] for f in found)
        slopes = torch.autograd.grad(total, weights, retain_graph=True, allow_unused=True)
        lengths.append([0.0 if s is None else float((s**2).sum()) for s in slopes])
    by_module = np.array(lengths).reshape(len(x), -1, 2).sum(axis=2)
    ours = np.stack([(g**2).sum(axis=1) for g in net.gradients(x, 1)], axis=1)
    assert np.allclose(ours, by_module)
    for f, g in zip(net.outputs(x), found, strict=True):
        assert np.allclose(f[1], g.detach())
    loss = sum(((f - torch.tensor(y)) ** 2).mean() / 2 for f in found)
    slopes = torch.autograd.grad(loss, weights, allow_unused=True)
    net.step(x, y, np.array([[0.3], [0.1]]))
    after = [net.a, net.b] if kind == "diagonal" else [
        part for pair in zip(net.w, net.a, strict=True) for part in pair
    ]  # fmt: skip
    for weight, slope, now in zip(weights, slopes, after, strict=True):
        moved = weight.detach() - (0 if slope is None else 0.1 * slope)
        assert np.allclose(now[1], moved)


def test_norms_are_below_what_they_bound():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50_000, 9))
    x *= 3 / np.linalg.norm(x, axis=1, keepdims=True)
    net = Chain([rng.normal(size=(1, 4, 9))], [rng.normal(size=(1, 4))])
    path, squares = net.norms(0)
    assert squares == pytest.approx(np.square(net.gradients(x, 0)[0]).sum(axis=1).mean(), rel=0.01)
    assert path < squares
    net.a *= np.linalg.norm(net.w[0], axis=2) / np.abs(net.a) / 3  # balanced
    assert net.norms(0)[0] == pytest.approx(net.norms(0)[1])
    line = Diagonal(np.array([[1.0, -2.0]]), np.array([[1.0, 3.0]]))
    assert line.norms(0) == (7.0, 7.5)


def test_a_network_that_diverges_leaves_the_others_alone():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 9)), rng.normal(size=6)
    start = rng.normal(size=(2, 1, 9))
    pair = Diagonal(*np.repeat(start, 2, axis=1))
    alone = Diagonal(*start)
    for net, rates in ((pair, (50.0, 0.01)), (alone, (0.01,))):
        times = [t for t, _ in train(net, x, y, rates, batch=1, steps=300, seed=0, looks=3)]
        assert times == [100, 200, 300]
    assert not np.isfinite(pair.outputs(x)[0][0]).any()
    assert np.allclose(pair.a[1], alone.a[0])


def test_sgd_rests_below_its_ceiling_and_descent_far_above(rows):
    sgd = rows["sgd"]
    gd = [row for row in rows["gd"] if "top" in row]
    fastest = max(row["rate"] for row in rows["gd"])
    assert {row["rate"] for row in rows["gd"] if row not in gd} <= {fastest}  # there it may diverge
    assert (values(sgd, "loss") < 1e-8).all()
    for key in ("ratio", "bounded", "exact"):
        assert values(sgd, key).max() <= 1
    assert values(sgd, "exact").min() > 0.5
    assert values(gd, "ratio").min() > 3
    assert 0.95 < values(gd, "top").max() <= 1
    assert np.allclose(values(gd, "top"), values(gd, "exact"), rtol=1e-3)


def test_larger_steps_leave_smaller_norms_and_errors(rows):
    for seed in (0, 1):
        own = [row for row in rows["sgd"] if row["seed"] == seed]
        for key in ("norm", "squares", "test_error"):
            assert (np.diff(values(own, key)) < 0).all()


def test_the_controls_break_what_they_should(rows):
    batch, noisy = rows["batch 8"], rows["fresh noise"]
    assert values(batch, "ratio").max() > 2
    assert values(batch, "bounded").max() <= 1
    assert values(noisy, "loss").min() > 1e-3
    assert values(noisy, "ratio").min() < 0.3


def test_both_models(rows):
    assert values(rows["relu sgd"], "exact").max() <= 1
    assert values(rows["relu gd"], "ratio").max() > 2


def test_each_module_is_held_by_its_own_loss(rows):
    own, whole = (np.array([row["modules"] for row in rows[m]]) for m in ("modules", "end to end"))
    assert own.max() <= 1
    assert own.sum(axis=1).max() > 1.2
    assert whole.sum(axis=1).max() <= 1
    assert np.allclose(whole.sum(axis=1), values(rows["end to end"], "ratio"), rtol=1e-3)


def test_runs_repeat(rows, tmp_path):
    own = replace(setting(NAME, "quick"), methods=("gd",))
    assert runs.read(run(NAME, setting=own, out=tmp_path)[0]).history == rows["gd"]


def test_bad_input_is_refused_in_one_sentence():
    for g in (np.zeros((3, 2)), [1.0, 2.0], [[np.nan, 1.0]]):
        with pytest.raises(ConfigError, match="give finite numbers"):
            Minimum(g)
    for judge in (Minimum(np.eye(2)).bound, Minimum(np.eye(2)).largest_step):
        with pytest.raises(ConfigError, match="give at least 1"):
            judge(0)
    net, x, y = Diagonal(np.ones((1, 2)), np.ones((1, 2))), np.ones((3, 2)), np.ones(3)
    for labels, rates, steps in ((y[:2], [0.1], 9), (y, [0.0], 9), (y, [0.1], 0)):
        with pytest.raises(ConfigError, match="rates above zero"):
            next(train(net, x, labels, rates, batch=1, steps=steps, seed=0))
