"""Generated weights: homogeneity exactly, starts by their spreads, training beside a plain loop."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

from localbook import runs
from localbook.errors import ConfigError, TrainingError
from localbook.experiments import run, setting
from localbook.fit import mlp
from localbook.neighbours import hypernetworks as hyper


def primary(*widths):
    return mlp(widths or (6, 8, 8, 4), 0, activation=nn.LeakyReLU)


def samples(n=30, angles=3, inputs=6):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(angles, n, inputs, generator=draw), torch.arange(n) % 4


def by_hand(h, f, gamma, x):
    """Scores in numpy, layer by layer, from ω and the shapes alone."""

    def leaky(z):
        return np.where(z > 0, z, 0.01 * z)

    def layers(x, pairs):
        *first, (W, b) = pairs
        for V, c in first:
            x = leaky(x @ V.T + c)
        return x @ W.T + b

    omega = [w.detach().double().numpy() for w in h.parameters()]
    code = {"raw": gamma, "cos-sin": np.r_[np.cos(np.pi / 2 * gamma), np.sin(np.pi / 2 * gamma)]}
    theta = layers(code[h.encoding], list(zip(omega[::2], omega[1::2], strict=True)))
    shapes = [tuple(w.shape) for w in f.parameters()]
    parts = np.split(theta, np.cumsum([int(np.prod(s)) for s in shapes])[:-1])
    weights = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return layers(x, list(zip(weights[::2], weights[1::2], strict=True)))


@pytest.mark.parametrize("encoding", ["raw", "cos-sin"])
@pytest.mark.parametrize("residual", [False, True])
def test_scores_are_those_of_plain_matrices(encoding, residual):
    f = primary()
    h = hyper.HyperNetwork(
        f, 3, inputs=2, hidden=(5, 7), encoding=encoding, residual=residual, start="fan-in"
    ).double()
    gamma, x = np.array([0.3, 0.8]), np.random.default_rng(0).normal(size=(9, 6))
    found = hyper.scores(h, f, torch.tensor(gamma), torch.tensor(x)).detach()
    assert np.allclose(found, by_hand(h, f, gamma, x))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(st.floats(-3, 3, width=32, allow_subnormal=False), min_size=2, max_size=2),
    st.integers(-6, 6),
    st.sampled_from(hyper.STARTS),
)
def test_the_default_is_homogeneous_to_the_last_digit(gamma, power, start):
    f = primary()
    h = hyper.HyperNetwork(f, 0, inputs=2, start=start).double()
    gamma, a = torch.tensor(gamma).double(), 2.0**power
    assert torch.equal(h.flat(a * gamma), a * h.flat(gamma))
    x = samples()[0][0].double()
    one, other = (hyper.scores(h, f, g, x) for g in (gamma, a * gamma))
    assert torch.allclose(other, a**3 * one, rtol=1e-9, atol=0)


def test_gradients_of_weights_grow_with_the_number_of_layers_and_residuals_end_that():
    x, _ = samples()
    for widths, degree in (((6, 4), 1), ((6, 8, 4), 2), ((6, 8, 8, 8, 4), 4)):
        f = primary(*widths)
        for residual in (False, True):
            h = hyper.HyperNetwork(f, 0, residual=residual).double()
            norms = []
            for gamma in (0.25, 0.5):
                out = hyper.scores(h, f, torch.tensor([gamma]).double(), x[0].double()).sum()
                hidden = [w for w in h.hidden.parameters() if w.ndim > 1]
                found = torch.autograd.grad(out, hidden)
                norms.append(torch.cat([g.flatten() for g in found]).norm())
            grown = float(torch.log2(norms[1] / norms[0]))
            assert abs(grown - degree) < 1e-9 or residual
            assert not residual or grown < 1.2


def test_at_zero_the_default_is_dead_but_for_the_last_biases_and_a_residual_is_theta_0():
    f, (x, y) = primary(), samples()
    h = hyper.HyperNetwork(f, 0)
    zero = torch.zeros(1)
    nn.functional.cross_entropy(hyper.scores(h, f, zero, x[0]), y).backward()
    moved = {name: int((w.grad != 0).sum()) for name, w in h.named_parameters() if w.grad.any()}
    assert moved == {"last.bias": 4}
    theta = hyper.HyperNetwork(f, 0, residual=True)(zero)
    assert not any(theta[name].any() for name in theta if name.endswith("bias"))
    assert theta["2.weight"].std().item() == pytest.approx(np.sqrt(2 / 8), rel=0.2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_cosines_and_sines_have_constant_norm(gamma):
    code = hyper.ENCODINGS["cos-sin"](torch.tensor(gamma).double())
    assert float(code.square().sum()) == pytest.approx(len(gamma))


@pytest.mark.parametrize("start", hyper.STARTS)
@pytest.mark.parametrize("encoding", ["raw", "cos-sin"])
def test_starts_have_the_spread_that_they_promise(start, encoding):
    f = primary(40, 30, 20)
    squares = []
    for seed in range(20):
        h = hyper.HyperNetwork(f, seed, start=start, encoding=encoding)
        gamma = torch.linspace(0, 1, 101)[:, None]
        with torch.no_grad():
            parts = h.flat(gamma).split([1200, 30, 600, 20], dim=1)
        squares.append([part.square().sum(1).mean().item() for part in parts])
        assert not any(layer.bias.any() for layer in [*h.hidden[::2], h.last])
    first, bias, second, last = np.mean(squares, axis=0)
    assert bias == last == 0
    size = {"raw": 1 / 3, "cos-sin": 1.0}[encoding]  # the mean of |E(γ)|²
    wanted = {
        "fan-in": np.array([1200, 600]) * size / {"raw": 1, "cos-sin": 2}[encoding],
        "fan-out": np.array([2, 2]) * size,
        "hyperfan": np.array([1200 * 2 / 40, 600 * 2 / 30]),
    }[start]
    assert np.allclose([first, second], wanted, rtol=0.35 if start != "hyperfan" else 0.06)


def test_images_are_turned_as_by_another_library():
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = hyper.turned(images, 5)
    assert torch.allclose(found[0], images, atol=1e-5)
    assert torch.allclose(found[-1], torch.rot90(images, 1, (2, 3)), atol=1e-5)
    a = np.pi / 8
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    for image, its in zip(images[:, 0].numpy(), found[1, :, 0].numpy(), strict=True):
        centre = np.full(2, 3.5)
        other = ndimage.affine_transform(
            image, turn, centre - turn @ centre, order=1, mode="grid-constant"
        )
        assert np.allclose(its, other, atol=1e-4)


def test_training_is_that_of_a_plain_loop():
    f, (x, y) = primary(), samples()
    ours, other = (hyper.HyperNetwork(f, 0, residual=True, start="fan-in") for _ in range(2))
    losses = hyper.train(ours, f, x, y, rounds=2, batch_size=30, lr=0.05, seed=4)
    optimiser = torch.optim.SGD(other.parameters(), lr=0.05, momentum=0.9)
    draw = torch.Generator().manual_seed(4)
    for turn in range(2):
        for g in torch.randperm(3, generator=draw).tolist():
            theta = other(torch.tensor([g / 2]))
            value = nn.functional.cross_entropy(torch.func.functional_call(f, theta, x[g]), y)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            assert losses[turn, g] == pytest.approx(value.item(), rel=1e-5)
    for one, two in zip(ours.parameters(), other.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


def test_what_requires_no_gradient_is_not_trained_and_f_rests():
    f, (x, y) = primary(), samples()
    h = hyper.HyperNetwork(f, 0, residual=True)
    kept = [w.clone() for w in (*h.hidden.parameters(), *f.parameters())]
    h.hidden.requires_grad_(False)
    hyper.train(h, f, x, y, rounds=3, batch_size=10, lr=0.1, seed=0, optimiser="adam")
    now = [*h.hidden.parameters(), *f.parameters()]
    assert all(torch.equal(one, two) for one, two in zip(now, kept, strict=True))
    with torch.no_grad():
        places = [hyper.scores(h, f, g, p).argmax(1) for g, p in zip(hyper.grid(3), x, strict=True)]
    wanted = [(place == y).double().mean().item() for place in places]
    assert hyper.accuracies(h, f, x, y).tolist() == pytest.approx(wanted)


def test_gradient_norms_are_those_of_finite_differences():
    f, (x, y) = primary(6, 4), samples()
    h, x = hyper.HyperNetwork(f, 0, hidden=(3, 2)).double(), x.double()
    found, gammas = hyper.gradient_norms(h, f, x, y), hyper.grid(3).double()
    squares = np.zeros(3)
    for weight in (h.hidden[0].weight, h.hidden[2].weight):
        flat = weight.detach().view(-1)
        for i in range(len(flat)):
            ends = []
            for step in (1e-6, -2e-6):
                flat[i] += step
                with torch.no_grad():
                    out = [hyper.scores(h, f, g, p) for g, p in zip(gammas, x, strict=True)]
                ends.append([nn.functional.cross_entropy(o, y).item() for o in out])
            flat[i] += 1e-6
            squares += (np.subtract(*ends) / 2e-6) ** 2
    assert np.allclose(found, np.sqrt(squares), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "sine"}, "encoding='sine'.*one of raw, cos-sin"),
        ({"start": "fan"}, "start='fan'.*one of fan-in, fan-out"),
        ({"hidden": (4, 0)}, "give sizes of 1 or more"),
        ({"inputs": 0}, "give sizes of 1 or more"),
    ],
)
def test_networks_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        hyper.HyperNetwork(primary(), 0, **change)


def test_bad_input_is_refused_in_one_sentence():
    f, (x, y) = primary(), samples()
    h = hyper.HyperNetwork(f, 0, encoding="cos-sin")
    with pytest.raises(ConfigError, match="encoded on \\[0, 1\\] only"):
        h(torch.tensor([1.2]))
    with pytest.raises(ConfigError, match="give square ones"):
        hyper.turned(torch.zeros(2, 1, 8, 6), 3)
    how = {"batch_size": 8, "lr": 0.1, "seed": 0}
    with pytest.raises(ConfigError, match="one of sgd, adam"):
        hyper.train(h, f, x, y, rounds=1, optimiser="muon", **how)
    with pytest.raises(ConfigError, match="rounds=0"):
        hyper.train(h, f, x, y, rounds=0, **how)
    with pytest.raises(TrainingError, match="smaller lr"):
        hyper.train(h, f, x, y, rounds=30, **how | {"lr": 1e30})


NAME = "hypernetworks"
OWN = replace(setting(NAME, "quick"), seeds=1, rounds=40)


def test_from_the_packages_start_mip_learns_and_the_default_hardly_does(records):
    default, mip = (records[f"sgd-fan-out-{name}"].final[0] for name in ("default", "mip"))
    assert mip["test_accuracy"] > 0.8
    assert mip["steps_reached"]
    assert mip["steps"] < default["steps"] / 2
    norms = records["sgd-fan-out-default"].history[0]["norm_start"]
    assert norms[0] == 0
    assert norms[8] == pytest.approx(8 * norms[1], rel=0.05)


def test_the_experiment_runs_twice_to_equal_records(records, tmp_path):
    own = replace(OWN, methods=("sgd-fan-out-mip", "sgd-blind"))
    again = {r.method: r for r in map(runs.read, run(NAME, setting=own, out=tmp_path))}
    assert again["sgd-fan-out-mip"].history == records["sgd-fan-out-mip"].history
    assert len({*again["sgd-blind"].history[0]["norm_end"]}) == 1  # the same network for all γ


def test_without_the_authors_package_its_method_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "hyperlight", None)
    with pytest.raises(ConfigError, match="pip install hyperlight"):
        run(NAME, setting=replace(OWN, methods=("hyperlight",)), out=tmp_path)
