from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from torch import nn

from localbook.errors import ConfigError
from localbook.tropical import Penalty, least_weights, tropical_attack, weight_change_needed
from tests.tropical.networks import batch

DEEP = (12, 20, 15, 4)


def network(*widths, seed=0):
    torch.manual_seed(seed)
    layers = []
    for i, o in pairwise(widths):
        layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


def changed(model, xi, x):
    """Class scores (N, k) with the first layer's weights A + xi, an input at a time."""
    scores = []
    for change, one in zip(xi, x, strict=True):
        hidden = (model[0].weight + change) @ one + model[0].bias
        scores.append(model[1:](hidden[None])[0])
    return torch.stack(scores)


@pytest.mark.parametrize("widths", [(12, 20, 4), DEEP])
@pytest.mark.parametrize("weight_eps", [0.2, 0.02])
def test_what_succeeds_meets_every_condition(widths, weight_eps):
    model = network(*widths)
    x, y = batch(model)
    x = x.round(decimals=1)
    y = model(x).argmax(dim=1)
    found = tropical_attack(model, x, y, eps=0.2, weight_eps=weight_eps)
    assert found.success.any()
    assert float(found.eta.abs().max()) <= 0.2
    assert float(found.xi.abs().max()) <= weight_eps
    assert float((x + found.eta).min()) >= 0
    assert float((x + found.eta).max()) <= 1
    won = found.success
    x, y, eta, xi = x[won], y[won], found.eta[won], found.xi[won]
    assert (model(x + eta).argmax(dim=1) != y).all()
    assert (changed(model, xi, x).argmax(dim=1) != y).all()
    off = (eta @ model[0].weight.T - torch.einsum("npk,nk->np", xi, x)).abs().amax(dim=1)
    size = (eta @ model[0].weight.T).abs().amax(dim=1)
    assert (off <= 1e-3 * size).all()
    torch.testing.assert_close(found.residual[won], off / size, rtol=1e-6, atol=1e-12)


def test_a_smaller_tolerance_is_met():
    model = network(12, 20, 4)
    x, y = batch(model)
    strict = Penalty(rounds=14, tolerance=1e-7)
    found = tropical_attack(model, x, y, eps=0.3, weight_eps=0.3, penalty=strict)
    usual = tropical_attack(model, x, y, eps=0.3, weight_eps=0.3)
    assert found.success.sum() == usual.success.sum() > 10
    assert float(found.residual[found.success].max()) <= 1e-7


def test_successful_pairs_are_no_smaller_than_the_closed_form():
    model = network(12, 20, 4)
    x, y = batch(model)
    found = tropical_attack(model, x, y, eps=0.3, weight_eps=0.3)
    least = weight_change_needed(model, x, found.eta)[found.success]
    assert (found.xi[found.success].abs().amax((1, 2)) >= 0.998 * least).all()


def test_no_bound_no_perturbation():
    model = network(12, 20, 4)
    x, y = batch(model)
    for eps, weight_eps in ((0.0, 0.3), (0.3, 0.0)):
        found = tropical_attack(model, x, y, eps=eps, weight_eps=weight_eps)
        assert not found.success.any()
        assert not (found.eta.any() if eps == 0 else found.xi.any())
        assert (found.iterations == Penalty().rounds * Penalty().steps).all()


def test_inputs_that_are_misclassified_already_are_left_alone():
    model = network(12, 20, 4)
    x, y = batch(model)
    found = tropical_attack(model, x, (y + 1) % 4, eps=0.1, weight_eps=0.1)
    assert found.success.all()
    assert not found.eta.any()
    assert not found.xi.any()
    assert not found.iterations.any()


def test_an_input_does_not_depend_on_its_batch():
    model = network(*DEEP)
    x, y = batch(model, 5)
    together = tropical_attack(model, x, y, eps=0.2, weight_eps=0.2)
    for k in range(5):
        alone = tropical_attack(model, x[k : k + 1], y[k : k + 1], eps=0.2, weight_eps=0.2)
        torch.testing.assert_close(alone.eta[0], together.eta[k])
        torch.testing.assert_close(alone.xi[0], together.xi[k])


@pytest.mark.parametrize("wide", [True, False])
def test_a_linear_model_falls_exactly_beyond_its_certificate(wide):
    """The nearest wrong input is |w x| / |w|_1 away, the nearest weights as far as the coupling."""
    w = torch.tensor([1.0, -2.0, 0.5, 0.4], dtype=torch.float64)
    model = nn.Sequential(nn.Linear(4, 2, bias=False)).double()
    model[0].weight.data = torch.stack([w / 2, -w / 2])
    x = 0.5 + 0.1 * torch.rand(3, 4, generator=torch.Generator().manual_seed(3)).double()
    y = model(x).argmax(dim=1)
    fine = Penalty(margin=1e-4, rounds=12, steps=50)
    for one, label in zip(x, y, strict=True):
        score = abs(float(one @ w))
        # Both rows of xi must move by half the score; eta moves w eta by the whole.
        certificate = score / float(w.abs().sum()) if wide else score / 2 / float(one.sum())
        for factor, won in ((0.99, False), (1.01, True)):
            bounds = (factor * certificate, 1.0) if wide else (1.0, factor * certificate)
            found = tropical_attack(
                model, one[None], label[None], eps=bounds[0], weight_eps=bounds[1], penalty=fine
            )
            assert bool(found.success) is won


def minimum_with_all_of_xi(model, x, y, eps, mu, margin):
    """The same objective over eta and every entry of xi, by a general-purpose solver."""
    weight, bias = model[0].weight.detach(), model[0].bias.detach()
    n = len(x)

    def objective(flat):
        both = torch.tensor(flat, requires_grad=True)
        eta, xi = both[:n], both[n:].reshape(weight.shape)
        total = both.square().sum() / 2 + mu / 2 * (weight @ eta - xi @ x).square().sum()
        for hidden in (weight @ (x + eta) + bias, (weight + xi) @ x + bias):
            scores = model[1:](hidden)
            total = total + mu / 2 * (scores[y] - scores[1 - y] + margin).relu() ** 2
        return total.item(), torch.autograd.grad(total, both)[0].numpy()

    low, high = (-x).clamp(min=-eps), (1 - x).clamp(max=eps)
    bounds = [*zip(low.tolist(), high.tolist(), strict=True), *[(None, None)] * weight.numel()]
    options = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-10}
    start = np.zeros(len(bounds))
    found = minimize(objective, start, jac=True, bounds=bounds, options=options).x
    return torch.tensor(found[:n]), torch.tensor(found[n:]).reshape(weight.shape)


def test_the_same_minimum_as_a_solver_for_all_of_xi():
    torch.manual_seed(4)  # without ReLU the objective is convex, so its minimum is the only one
    model = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 2)).double()
    x, y = batch(model, 4)
    schedule = Penalty(first=4.0, rounds=1, steps=2000, margin=0.1)
    found = tropical_attack(model, x, y, eps=0.1, weight_eps=9.0, penalty=schedule)
    assert (found.eta.abs() == 0.1).any()
    for k in range(len(x)):
        eta, xi = minimum_with_all_of_xi(model, x[k], int(y[k]), 0.1, 4.0, 0.1)
        torch.testing.assert_close(found.eta[k], eta, atol=1e-6, rtol=0)
        torch.testing.assert_close(found.xi[k], xi, atol=1e-6, rtol=0)


def test_the_weight_change_needed_is_that_of_a_linear_programme():
    model = network(5, 3, 2)
    x, _ = batch(model, 4)
    x[0, :2] = 0
    eta = torch.rand(4, 5, generator=torch.Generator().manual_seed(2)).double() - 0.5
    needed = weight_change_needed(model, x, eta)
    for k in range(4):
        least = []
        for row in model[0].weight.detach():
            # Minimise s over (xi_j, s) with -s <= xi_ji <= s and xi_j x = a_j eta.
            rows = np.block([[np.eye(5), -np.ones((5, 1))], [-np.eye(5), -np.ones((5, 1))]])
            equal, value = [[*x[k].tolist(), 0]], [float(eta[k] @ row)]
            found = linprog([0] * 5 + [1], rows, np.zeros(10), equal, value, [(None, None)] * 6)
            least.append(found.fun)
        assert float(needed[k]) == pytest.approx(max(least), abs=1e-9)


pixels = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0]), min_size=1, max_size=6)


@given(pixels, st.lists(st.floats(-1, 1), min_size=1, max_size=4), st.sampled_from([0.0, 0.2, 1]))
@settings(deadline=None, max_examples=150, derandomize=True)
def test_least_weights_do_what_is_asked_within_the_bound(x, share, bound):
    image = torch.tensor([x], dtype=torch.float64)
    u = torch.tensor([share], dtype=torch.float64) * bound * image.sum()
    xi = least_weights(image, u, bound)
    assert float(xi.abs().max()) <= bound
    torch.testing.assert_close(torch.einsum("npk,nk->np", xi, image), u, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("share", [0.3, 0.8, 0.97])
def test_no_other_weights_are_shorter(share):
    x = torch.tensor([[0.9, 0.5, 0.4, 0.1, 0.0]], dtype=torch.float64)
    u = share * 0.2 * x.sum(dim=1, keepdim=True)
    xi = least_weights(x, u, 0.2)[0, 0].numpy()
    found = minimize(
        lambda row: row @ row,
        np.zeros(5),
        bounds=[(-0.2, 0.2)] * 5,
        constraints={"type": "eq", "fun": lambda row: row @ x[0].numpy() - float(u)},
    )
    np.testing.assert_allclose(xi, found.x, atol=1e-5)


def test_a_black_image_cannot_be_reached_by_weights():
    model = network(12, 20, 4)
    x = torch.zeros(1, 12, dtype=torch.float64)
    y = model(x).argmax(dim=1)
    found = tropical_attack(model, x, y, eps=1.0, weight_eps=1.0)
    assert not found.success.any()
    assert not found.xi.any()
    assert torch.isfinite(found.eta).all()
    with pytest.raises(ConfigError, match="an input is zero"):
        weight_change_needed(model, x, found.eta)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"eps": -0.1}, "eps=-0.1 must be a finite number that is not negative"),
        ({"weight_eps": -0.1}, "weight_eps=-0.1 must be a finite number"),
        ({"x": torch.rand(3, 12).double() + 0.5}, r"values in \[0, 1\]"),
        ({"x": torch.full((3, 12), torch.nan).double()}, "without NaN"),
        ({"x": torch.zeros(0, 12).double(), "y": torch.zeros(0).long()}, "the batch is empty"),
        ({"y": torch.tensor([0, 1, 4])}, "must lie in 0..3"),
        ({"x": torch.rand(3, 3, 4).double()}, r"give x of shape \(N, 12\)"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(12, 4))}, "begins with Flatten"),
        ({"model": nn.Linear(12, 4)}, "begins with Linear: .* give an nn.Sequential"),
        ({"model": nn.Sequential()}, "begins with Sequential"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(change, words):
    model = network(12, 20, 4)
    x, y = batch(model, 3)
    arguments = {"model": model, "x": x, "y": y, "eps": 0.1, "weight_eps": 0.1} | change
    with pytest.raises(ConfigError, match=words):
        tropical_attack(**arguments)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"growth": 1.0}, "growth=1.0 above 1"),
        ({"rounds": 0}, "rounds=0"),
        ({"first": -1}, "first"),
    ],
)
def test_a_schedule_that_does_not_grow_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        replace(Penalty(), **change)
