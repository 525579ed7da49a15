"""Energies of hidden units: formulas beside slow references, and the claims at a small size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from localbook import neighbours, runs
from localbook.errors import ConfigError
from localbook.experiments import run, setting

li2 = neighbours.li2


def pairs(M, share=None, seed=0):
    """The training pairs of a share, or all of them: X (n, 2M) and one-hot Y (n, M)."""
    splits = li2.sample(M, share or 0.5, seed)
    used = [splits["train"]] if share else splits.values()
    x, y = (torch.cat([getattr(s, name) for s in used]) for name in "xy")
    return x.double().numpy(), np.eye(M)[y.numpy()]


def units(M, count, seed=0):
    w = np.random.default_rng(seed).normal(size=(count, 2 * M))
    return w / np.linalg.norm(w, axis=1, keepdims=True)


@pytest.mark.parametrize("M", [3, 7, 10])
def test_splits_are_all_pairs_once_with_their_sums_and_shares_are_nested(M):
    splits = li2.sample(M, 0.5, seed=3)
    both = torch.cat([s.x for s in splits.values()])
    h1, h2 = both[:, :M].argmax(dim=1), both[:, M:].argmax(dim=1)
    assert sorted(zip(h1.tolist(), h2.tolist(), strict=True)) == [
        (a, b) for a in range(M) for b in range(M)
    ]
    assert both.sum(dim=1).unique().tolist() == [2]
    assert torch.equal(torch.cat([s.y for s in splits.values()]), (h1 + h2) % M)
    larger = li2.sample(M, 0.7, seed=3)["train"]
    assert torch.equal(larger.x[: len(splits["train"])], splits["train"].x)


def test_the_energy_and_its_gradient_are_those_of_the_definition():
    X, Y = pairs(5, 0.6)
    P = np.eye(len(X)) - 1 / len(X)
    w = units(5, 4)
    value, slope = li2.energy(w, X, Y)
    t = torch.tensor(w, requires_grad=True)
    for j in range(4):
        slow = 0.5 * ((torch.tensor(P @ Y).T @ (torch.tensor(X) @ t[j]) ** 2) ** 2).sum()
        assert value[j] == pytest.approx(slow.item(), rel=1e-12)
        assert np.allclose(slope[j], torch.autograd.grad(slow, t)[0][j], atol=1e-12)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(3, 9), st.data())
def test_the_closed_form_is_the_energy_of_all_pairs(M, data):
    w = data.draw(hnp.arrays(float, (2, 2 * M), elements=st.integers(-3, 3).map(float)))
    assert np.allclose(li2.energy_of_all_pairs(w), li2.energy(w, *pairs(M))[0], atol=1e-8)


@pytest.mark.parametrize(("M", "heights"), [(11, [0.25]), (12, [0.25, 0.5]), (13, [0.25])])
def test_every_unit_climbs_to_one_frequency_and_all_are_found(M, heights):
    w = li2.ascend(units(M, 100), *pairs(M), steps=60)
    shares = li2.spectrum(w)
    assert shares.max(axis=1).min() > 1 - 1e-9
    assert set(shares.argmax(axis=1)) == set(range(M // 2))
    assert np.unique((li2.energy_of_all_pairs(w) / M).round(9)).tolist() == heights
    assert np.allclose(np.linalg.norm(w.reshape(100, 2, M), axis=2) ** 2, 0.5)


def test_a_maximum_has_any_two_phases_and_nothing_is_above_it():
    M = 9
    phases = np.random.default_rng(1).uniform(0, 7, size=(8, 2))
    w = li2.features(M, np.array([1, 2, 3, 4] * 2), phases)
    value, slope = li2.energy(w, *pairs(M))
    assert np.allclose(value, M / 4)
    assert np.allclose(slope, (slope * w).sum(axis=1, keepdims=True) * w, atol=1e-9)
    assert li2.energy_of_all_pairs(units(M, 1000)).max() < M / 4
    near = w[:, None] + 0.05 * units(M, 200)
    near /= np.linalg.norm(near, axis=2, keepdims=True)
    assert li2.energy_of_all_pairs(near.reshape(-1, 2 * M)).max() < M / 4


def test_with_shuffled_answers_maxima_are_no_frequencies():
    X, Y = pairs(11)
    w = li2.ascend(units(11, 40), X, np.random.default_rng(0).permutation(Y), steps=200)
    assert li2.spectrum(w).max(axis=1).max() < 0.9


def test_shares_of_frequencies_are_powers_of_the_discrete_fourier_transform():
    w = units(8, 3)
    power = np.abs(np.fft.fft(w.reshape(3, 2, 8), axis=2)) ** 2
    both = power.sum(axis=1)[:, 1:] / power.sum(axis=1)[:, 1:].sum(axis=1, keepdims=True)
    expected = np.stack([*(both[:, k] + both[:, 6 - k] for k in range(3)), both[:, 3]], axis=1)
    assert np.allclose(li2.spectrum(w), expected)


@pytest.mark.parametrize("K", [5, 40])
def test_at_the_ridge_the_signal_is_equation_4_and_minus_the_gradient(K):
    n, M, eta = 20, 4, 0.3
    draw = torch.Generator().manual_seed(K)
    F = torch.randn(n, K, dtype=torch.float64, generator=draw).square().requires_grad_()
    Y = torch.eye(M, dtype=torch.float64)[torch.arange(n) % M]
    V, signal = li2.ridge(F.detach(), Y, eta)
    f, y, eye = F - F.mean(dim=0), Y - Y.mean(dim=0), torch.eye
    inverse = torch.linalg.inv(f.T @ f + eta * eye(K))
    assert torch.allclose(V, inverse @ f.T @ y)
    four = eta * torch.linalg.inv(f @ f.T + eta * eye(n)) @ y @ y.T @ f @ inverse
    assert torch.allclose(signal, four, atol=1e-12)
    rest = Y - F @ V
    objective = 0.5 * (rest - rest.mean(dim=0)).square().sum()
    assert torch.allclose(signal, -torch.autograd.grad(objective, F)[0], atol=1e-10)


def test_the_loss_is_that_of_centred_outputs():
    out, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])
    P = torch.eye(6) - 1 / 6
    expected = (P @ (torch.eye(3)[y] - out)).square().sum() / 6
    assert li2.loss(out, y).item() == pytest.approx(expected.item(), rel=1e-5)


def stepped(make, steps=3):
    draw = torch.Generator().manual_seed(0)
    W, V = (torch.randn(size, generator=draw).requires_grad_() for size in ((6, 9), (9, 2)))
    X = torch.randn(30, 6, generator=draw)
    before = W.detach().clone()
    optimiser = make([W, V])
    for _ in range(steps):
        optimiser.zero_grad()
        ((X @ W).square() @ V).square().mean().backward()
        optimiser.step()
    return W.detach() - before, V.detach()


def test_muon_moves_all_directions_of_w_alike_and_v_as_adam_does():
    moved, V = stepped(lambda p: li2.Muon(p, 0.01, rate=0.2, weight_decay=0.1), steps=1)
    assert torch.allclose(torch.linalg.svdvals(moved), torch.full((6,), 0.2), atol=1e-5)
    _, by_adam = stepped(lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1), steps=1)
    assert torch.allclose(V, by_adam, atol=1e-6)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has a Muon from 2.9 on")
def test_muon_goes_where_that_of_torch_goes():
    ours, _ = stepped(lambda p: li2.Muon(p, 0.0, rate=0.01, weight_decay=0.0), steps=1)
    options = {"lr": 0.01, "weight_decay": 0.0, "nesterov": False}
    theirs, _ = stepped(lambda p: torch.optim.Muon(p[:1], **options), steps=1)
    cosine = (ours * theirs).sum() / ours.norm() / theirs.norm()
    assert cosine > 0.95  # five steps of an iteration in bfloat16


def test_adam_has_a_rate_of_its_own_for_w():
    moved, V = stepped(lambda p: li2.adam(p, 0.01, rate=0.3, weight_decay=0.0), steps=1)
    assert moved.abs().max().item() == pytest.approx(0.3, rel=1e-3)
    _, same = stepped(lambda p: torch.optim.Adam(p, lr=0.01), steps=1)
    assert torch.allclose(V, same)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """What needs seconds of the claims, at ``quick``."""
    methods = ["decay", "no-decay", "kept", "muon"]
    small = replace(setting("li2", "quick"), rates=(0.05,), seeds=1)
    paths = run("li2", setting=small, methods=methods, out=tmp_path_factory.mktemp("out"))
    return {r.method: r for r in map(runs.read, paths)}


def test_with_decay_it_generalises_late_and_without_it_does_not(records):
    for seed in records["decay"].final:
        assert seed["fitted"] < seed["general"]
        assert seed["test_accuracy"] > 0.98
    for seed in records["no-decay"].final:
        assert seed["train_accuracy"] == 1
        assert seed["test_accuracy"] < 0.4
    purity = [row["purity"] for row in records["decay"].history if row["seed"] == 0]
    assert purity[-1] > 1.5 * purity[0]


def test_a_sample_keeps_features_above_a_threshold_only(records):
    for row in records["kept"].final:
        assert 0.4 < row["share_11"] < 0.75
    assert li2.kept(19, 0.3, seed=0) < 0.1
    assert li2.kept(19, 0.9, seed=0) == 1


def test_few_units_suffice_with_muon(records):
    assert all(row["test_20"] > 0.8 for row in records["muon"].final)
    assert records["muon"].config["chosen"] == {"20": 0.05}


def test_runs_repeat(records, tmp_path):
    small = replace(setting("li2", "quick"), rates=(0.05,), seeds=1)
    again = runs.read(run("li2", setting=small, methods=["kept"], out=tmp_path)[0])
    assert again.history == records["kept"].history


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epochs": 3}, "epochs at least 4"),
        ({"units": (0,)}, "must be positive"),
        ({"M": 2}, "M of 3 or more"),
        ({"share": 1.0}, "between 0 and 1"),
        ({"eta": -1.0}, "no negative decay"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(change, says):
    with pytest.raises(ConfigError, match=says):
        replace(setting("li2", "quick"), **change)


@pytest.mark.parametrize(("M", "share"), [(2, 0.5), (7, 0.0), (7, 1.0), (5, 0.001)])
def test_a_sample_without_pairs_for_both_splits_is_refused(M, share):
    with pytest.raises(ConfigError, match="pairs for both splits"):
        li2.sample(M, share, seed=0)
