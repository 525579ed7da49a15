"""The layer that is written down: exact against slow sums, within its bounds; and the floors."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook import neighbours, runs
from localbook.errors import ConfigError
from localbook.experiments import run, setting

layers = neighbours.one_layer_transformer
NAME = "one-layer-transformer"


def points(n, count=200, seed=0):
    return np.random.default_rng(seed).random((count, n))


def called(layer, x):
    with torch.no_grad():
        return layer(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("kernel", layers.KERNELS)
def test_ridges_are_the_products_of_cosines_that_the_kernel_makes(n, kernel):
    N, P, x = 2, 12, points(n, 20)
    at = (np.arange(P) + 0.5) / P
    k = np.arange(N + 1)
    share = {"sum": [1, 1, 1], "fejer": [1, 2 / 3, 1 / 3], "korovkin": [1, np.sqrt(0.5), 0.25]}
    weights = np.where(k, 2, 1) * share[kernel]
    near = np.einsum(  # the kernel around each place, (N, n, P)
        "k,xik,pk->xip", weights, np.cos(np.pi * x[:, :, None] * k), np.cos(np.pi * np.outer(at, k))
    )
    expected = 0
    for place in product(range(P), repeat=n):
        there = np.prod([near[:, i, p] for i, p in enumerate(place)], axis=0) / P**n
        expected = expected + there[:, None] * layers.target(at[None, list(place)])
    assert np.allclose(layers.ridges(layers.target, n, N, kernel)(x), expected, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 3),
    st.integers(1, 3),
    st.floats(1e-3, 1),
    st.sampled_from([-3.0, 1e-3, 0.5, 30.0]),
    st.integers(0, 9),
)
def test_a_layer_of_any_beta_is_its_ridges_up_to_eps(n, N, eps, beta, seed):
    values = np.random.default_rng(seed).normal(size=(n, n)) * (seed > 0)  # once f = 0
    sums = layers.ridges(lambda x: np.cos(3 * x @ values) - 1, n, N, "sum")
    layer = layers.construct(sums, eps, beta=beta)
    x = np.vstack([points(n), list(product([0.0, 1.0], repeat=n))])
    out = called(layer, x)
    assert np.abs(out - sums(x)).max() <= eps + 1e-8
    assert np.allclose(layer.network()(x), out, atol=1e-8)
    assert np.allclose(layer.tokens(torch.from_numpy(x))[:, 0, n + 1 :], x @ layers.mixing(n, beta))


def test_every_ridge_is_interpolated_at_equal_distances():
    sums = layers.Ridges(np.array([[2, -3]]), np.array([[0.7, 0.0]]), np.array([0.1, 0.2]))
    net = layers.construct(sums, 0.01).network()
    x = points(2, 1000)
    bends = np.count_nonzero(np.abs(net.weights[0] - [2, -3]).max(axis=1) < 1e-12)
    knots = np.linspace(-3, 2, bends + 2)
    expected = 0.1 + 0.7 * np.interp(x @ [2, -3], knots, np.cos(np.pi * knots))
    assert np.allclose(net(x), np.column_stack([expected, np.full(1000, 0.2)]), atol=1e-12)


def test_the_error_is_within_its_bound_and_falls():
    L, found = [2 * np.pi, 1.0], []
    for N in (2, 4, 8, 16):
        eps = layers.bound(N, L)
        net = layers.construct(layers.ridges(layers.target, 2, N), eps).network()
        found.append(layers.errors(net, layers.target, 2))
        assert found[-1].max() <= 2 * eps
    assert (np.diff([max(row) for row in found]) < 0).all()
    assert found[-1].max() < found[0].max() / 3


@pytest.mark.parametrize("N", [1, 5, 20])
def test_the_worst_lipschitz_function_keeps_the_bound(N):
    x = layers.grid(2, np.linspace(0, 1, 41))

    def cone(x):
        return np.stack([np.abs(x - 0.4).sum(axis=1)] * 2, axis=1)

    sums = layers.ridges(cone, 2, N)
    assert 0.3 * layers.bound(N, [1, 1]) < np.abs(sums(x) - cone(x)).max()
    assert np.abs(sums(x) - cone(x)).max() <= layers.bound(N, [1, 1])


def trained_like(kind, n=3, seed=1):
    layer = layers.Layer(n, 7, seed, kind=kind).requires_grad_(False)
    for weight in layer.parameters():
        weight.mul_(3)
    return layer


def test_attention_is_the_softmax_of_products():
    layer, x = trained_like("full"), points(3, 4)
    u = np.concatenate([x[:, :, None], np.broadcast_to(np.eye(3), (4, 3, 3))], axis=2)
    for h, (q, k, v) in enumerate(zip(layer.q, layer.k, layer.v, strict=True)):
        e = np.exp(np.einsum("nt,ns->nts", u @ q.numpy(), u @ k.numpy()))
        slot = (e / e.sum(axis=2, keepdims=True) @ (u @ v.numpy())[:, :, None])[:, :, 0]
        assert np.allclose(layer.tokens(torch.from_numpy(x))[:, :, 4 + h], slot)


def test_each_kind_confuses_what_its_floor_says():
    x = points(3, 50)
    for order in permutations(range(3)):
        moved = called(trained_like("no-positions"), x[:, order])
        assert np.allclose(moved, called(trained_like("no-positions"), x)[:, order])
    other = np.column_stack([x[:, 0], x[:, 2], x[:, 1]])
    assert np.allclose(
        called(trained_like("uniform"), x)[:, 0], called(trained_like("uniform"), other)[:, 0]
    )
    other[:, 1:] = 0.5
    alone = trained_like("no-attention")
    assert np.allclose(called(alone, x)[:, 0], called(alone, other)[:, 0])
    assert not np.allclose(called(trained_like("full"), x)[:, 0], called(alone, other)[:, 0])


def test_floors_against_all_pairs():
    m = 5
    at = layers.grid(2, np.linspace(0, 1, m))
    f = layers.target(at)
    cases = [(t, x, f[i, t]) for i, x in enumerate(at) for t in range(2)]
    same = {
        "no-positions": lambda t, x, s, y: x[t] == y[s] and sorted(x) == sorted(y),
        "no-attention": lambda t, x, s, y: t == s and x[t] == y[s],
        "uniform": lambda t, x, s, y: t == s and x[t] == y[s] and x.sum() == y.sum(),
    }
    found = layers.floors(layers.target, 2, m)
    for kind, rule in same.items():
        pairs = (abs(a - b) / 2 for t, x, a in cases for s, y, b in cases if rule(t, x, s, y))
        assert found[kind] == pytest.approx(max(pairs))
    assert layers.floors(layers.target, 3, 9)["uniform"] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["by-position", "uniform", "no-attention"])
def test_a_trained_layer_that_does_not_look_at_x_is_a_relu_network(kind):
    layer, x = trained_like(kind), points(3)
    assert np.allclose(layer.network()(x), called(layer, x), atol=1e-12)
    assert layer.network().neurons <= 3 * 7


def test_seeds_do_not_know_each_other_and_no_layer_is_below_its_floor(tmp_path):
    kinds = ("by-position", "uniform", "no-attention")
    small = replace(setting(NAME, "quick"), steps=(40, 10), methods=kinds, batch_size=64)
    both, alone = (
        [runs.read(p) for p in run(NAME, setting=s, out=tmp_path / str(s.seeds))]
        for s in (small, replace(small, seeds=1))
    )
    for two, one in zip(both, alone, strict=True):
        first = [row for row in two.history if row["seed"] == 0]
        for row, same in zip(first, one.history, strict=True):
            assert row["errors"] == pytest.approx(same["errors"], abs=1e-3)
        for row in two.history:
            floor = layers.floors(layers.target, row["n"], {2: 61, 3: 21}[row["n"]])
            assert row["error"] >= floor.get(two.method, 0) - 1e-4
    assert both[0].history[0]["errors"] != both[0].history[1]["errors"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: layers.Layer(1, 5, 0), "n > 1"),
        (lambda: layers.Layer(2, 5, 0, kind="causal"), "one of full"),
        (lambda: layers.ridges(layers.target, 2, 0), "N > 0"),
        (lambda: layers.ridges(lambda x: x[:, 0], 2, 2), "let it give finite"),
        (lambda: layers.ridges(lambda x: np.full_like(x, np.nan), 2, 2), "let it give finite"),
        (lambda: layers.construct(layers.ridges(layers.target, 2, 1), 0.0), "eps above 0"),
        (lambda: layers.construct(layers.ridges(layers.target, 2, 1), 0.1, beta=0), "not 0"),
        (lambda: layers.Layer(2, 5, 0).network(), "take 'by-position'"),
        (lambda: replace(setting(NAME, "cpu"), sizes=((4, 8),)), "two or three tokens"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(wrong, says):
    with pytest.raises(ConfigError, match=says):
        wrong()
