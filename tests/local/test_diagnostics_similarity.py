import itertools
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.errors import ConfigError
from localbook.local import linear_cka, match_neurons


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_cka(x, y):
    """Compute CKA from covariances, entry by entry."""
    x, y = (a.reshape(len(a), -1) - a.reshape(len(a), -1).mean(0) for a in (x, y))

    def square(a, b):
        return sum((p @ q) ** 2 for p in a.T for q in b.T)

    return square(x, y) / np.sqrt(square(x, x) * square(y, y))


def test_cka_against_the_definition():
    a = [random(12, 5), random(12, 2, 3, 3, seed=1)]
    b = [a[0] @ random(5, 4, seed=2), random(12, 7, seed=3), a[1]]
    found = linear_cka(a, b)
    assert found.shape == (2, 3)
    for i, j in itertools.product(range(2), range(3)):
        assert found[i, j].item() == pytest.approx(slow_cka(a[i].numpy(), b[j].numpy()))


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(2, 12), st.integers(1, 15), st.integers(0, 99), st.floats(0.01, 100))
def test_cka_ignores_rotation_scale_and_shift(samples, width, seed, scale):
    x, y = random(samples, width, seed=seed), random(samples, 3, seed=seed + 1)
    rotation = torch.linalg.qr(random(width, width, seed=seed + 2)).Q
    moved = scale * x @ rotation + 5
    assert linear_cka([x], [moved]).item() == pytest.approx(1)
    assert linear_cka([moved], [y]).item() == pytest.approx(linear_cka([x], [y]).item(), abs=1e-9)
    assert -1e-12 <= linear_cka([x], [y]).item() <= 1 + 1e-12


def slow_hsic(k, ell):
    """Estimate without bias, term by term: over all ordered choices of samples that differ."""
    n, total = len(k), 0.0
    for i, j, q, r in itertools.permutations(range(n), 4):
        total += k[i, j] * (ell[i, j] + ell[q, r] - 2 * ell[i, q])
    return total / (n * (n - 1) * (n - 2) * (n - 3))


def test_debiased_cka_against_its_definition():
    a, b = random(7, 5), random(7, 3, seed=1)
    k, ell = a @ a.T, b @ b.T
    expected = slow_hsic(k, ell) / (slow_hsic(k, k) * slow_hsic(ell, ell)) ** 0.5
    assert linear_cka([a], [b], debiased=True).item() == pytest.approx(expected.item())
    assert linear_cka([a], [3 * a + 1], debiased=True).item() == pytest.approx(1)
    with pytest.raises(ConfigError, match="four or more samples, not 3"):
        linear_cka([a[:3]], [b[:3]], debiased=True)


def test_layers_that_share_nothing_have_no_debiased_cka():
    a, b = ([random(32, 1000, seed=s) for s in seeds] for seeds in (range(6), range(6, 12)))
    assert linear_cka(a, b).min() > 0.96  # the floor
    assert linear_cka(a, b, debiased=True).mean().abs() < 0.02


@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize("value", [1.0, 0.1, 1e20])
def test_a_constant_layer_is_like_nothing(value, debiased):
    constant = torch.full((7, 3), value)
    for other in (random(7, 3), constant):
        assert linear_cka([other], [constant], debiased=debiased).isnan().all()
    assert match_neurons(random(7, 3).float(), constant).correlation.tolist() == [0, 0, 0]


def test_cka_needs_the_same_samples():
    with pytest.raises(ConfigError, match="same samples"):
        linear_cka([random(4, 3)], [random(5, 3)])


@pytest.mark.parametrize("shape", [(30, 5), (6, 5, 4, 3), (6, 4, 5)])
def test_matching_undoes_a_permutation_and_a_scaling(shape):
    a = random(*shape)
    axis = 1 if len(shape) == 4 else -1
    order = torch.tensor([3, 0, 4, 1, 2])
    b = (2 * a + 1).index_select(axis, order)
    found = match_neurons(a, b)
    assert torch.equal(order[found.partner], torch.arange(5))
    assert torch.allclose(found.correlation, torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(5))
def test_matching_is_the_best_of_all_permutations(seed):
    a, b = random(20, 5, seed=seed), random(20, 5, seed=seed + 50)
    correlation = np.corrcoef(a.T, b.T)[:5, 5:]
    best = max(
        sum(correlation[i, j] for i, j in enumerate(order))
        for order in itertools.permutations(range(5))
    )
    found = match_neurons(a, b)
    assert found.correlation.sum().item() == pytest.approx(best)
    expected = correlation[np.arange(5), found.partner.numpy()]
    assert found.correlation.numpy() == pytest.approx(expected)


def test_a_dead_neuron_correlates_with_nothing():
    a = random(20, 3)
    dead = a.clone()
    dead[:, 1] = 0.5
    found = match_neurons(a, dead)
    assert found.partner.tolist() == [0, 1, 2]
    assert found.correlation.tolist() == pytest.approx([1, 0, 1])


def test_layers_of_other_shapes_are_refused():
    with pytest.raises(ConfigError, match="cannot be matched"):
        match_neurons(random(20, 3), random(20, 4))


def test_a_missing_scipy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ConfigError, match="pip install scipy"):
        match_neurons(random(20, 3), random(20, 3))
