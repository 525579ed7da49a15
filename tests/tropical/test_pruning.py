import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from localbook import tropical
from localbook.errors import ConfigError
from localbook.tropical import (
    Generators,
    class_weights,
    fit_rows,
    fit_weights,
    generators,
    penalty_keeping,
    prune_block,
    pruning_objective,
)
from tests.tropical.networks import random_network, small_integer_networks

FORMS = ("reduced", "paper")
few = settings(deadline=None, max_examples=60, derandomize=True)
penalties = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])


def slow_objective(A, c, B, old, penalty, form):
    """The definition, term by term, with the generators of every class formed."""
    total = 0.0
    for i in range(len(B)):
        new_rows, old_rows = [], []
        for j in range(len(A)):
            for rows, (A_, c_, B_) in ((new_rows, (A, c, B)), (old_rows, old)):
                if form == "paper":
                    w = max(B_[i, j], 0) + sum(max(-B_[k, j], 0) for k in range(len(B)) if k != i)
                else:
                    w = B_[i, j] - min(B_[:, j])
                rows.append(w * np.append(A_[j], c_[j]))
        difference = np.array(new_rows) - np.array(old_rows)
        lengths = np.linalg.norm(new_rows, axis=1)
        total += (difference**2).sum() / 2 + np.broadcast_to(penalty, len(B))[i] * lengths.sum()
    return total


def arrays(network):
    (A, B), (c, _) = network.weights, network.biases
    return A, c, B


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_objective_is_its_definition(form, classes):
    old = random_network(3, 4, classes, seed=1)
    new = random_network(3, 4, classes, seed=2)
    penalty = np.linspace(0.1, 0.7, classes)
    fast = pruning_objective(generators(new, form), generators(old, form), penalty)
    slow = slow_objective(*arrays(new), arrays(old), penalty, form)
    assert fast == pytest.approx(slow, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_class_weights_are_those_of_the_dual_polytope(form):
    network = random_network(2, 5, 4, seed=3)
    ours = generators(network, form)
    theirs = tropical.dual_polytope(network, form=form)
    for i, zonotope in enumerate(theirs.zonotopes):
        mine = ours.weights[i][:, None] * ours.rows
        np.testing.assert_allclose(mine, zonotope.generators, atol=1e-14)


def test_each_step_reaches_the_minimum_that_a_general_solver_finds():
    old = generators(random_network(2, 3, 3, seed=4))
    rng = np.random.default_rng(0)
    rows = old.rows + rng.normal(size=old.rows.shape) / 2
    penalty = np.array([0.05, 0.1, 0.2])
    fitted = fit_weights(rows, old, penalty)
    found = minimize(
        lambda w: pruning_objective(Generators(rows, w.reshape(3, 3)), old, penalty),
        old.weights.ravel(),
        bounds=[(0, None)] * 9,
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    assert pruning_objective(fitted, old, penalty) <= found.fun + 1e-12
    np.testing.assert_allclose(fitted.weights.ravel(), found.x, atol=1e-5)

    weights = np.abs(rng.normal(size=(3, 3)))
    fitted = fit_rows(weights, old, penalty)
    found = minimize(
        lambda a: pruning_objective(Generators(a.reshape(3, 3), weights), old, penalty),
        old.rows.ravel(),
        method="Nelder-Mead",
        options={"maxfev": 20_000, "fatol": 1e-14, "xatol": 1e-9, "adaptive": True},
    )
    assert pruning_objective(fitted, old, penalty) == pytest.approx(found.fun, abs=1e-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_no_search_over_both_layers_finds_a_lower_objective(form, seed):
    """The minimum is global, over A~ and B~ themselves, from many starts."""
    network = random_network(2, 1, 3, seed=seed)
    old, penalty = arrays(network), 0.15
    best = prune_block(network, penalty, form).objective[-1]
    rng = np.random.default_rng(seed)

    def value(z):
        return slow_objective(z[None, :2], z[2:3], z[3:, None], old, penalty, form)

    for _ in range(5):
        start = np.concatenate([old[0][0], old[1], old[2][:, 0]]) + rng.normal(size=6)
        found = minimize(value, start, method="Nelder-Mead", options={"maxfev": 1500})
        assert found.fun >= best - 1e-9


@few
@given(small_integer_networks(classes=(2, 4)), penalties, st.sampled_from(FORMS), st.booleans())
def test_no_step_raises_the_objective(network, penalty, form, rows_first):
    if len(network.weights) != 2:
        return
    old = generators(network, form)
    # From other rows and weights than the old ones, too: a start is not a fixed point.
    new = Generators(old.rows[::-1] + 0.5, old.weights[:, ::-1] + 0.25)
    value = pruning_objective(new, old, penalty)
    for turn in range(4):
        if (turn % 2 == 0) == rows_first:
            new = fit_rows(new.weights, old, penalty)
        else:
            new = fit_weights(new.rows, old, penalty)
        after = pruning_objective(new, old, penalty)
        assert np.isfinite(after)
        assert after <= value + 1e-12 * max(1, value)
        value = after


@few
@given(small_integer_networks(classes=(2, 4)), penalties, st.sampled_from(FORMS))
def test_the_pruned_network_has_the_minimum_in_closed_form(network, penalty, form):
    if len(network.weights) != 2:
        return
    pruned = prune_block(network, penalty, form)
    old, new = generators(network, form), generators(pruned.network, form)
    length = np.linalg.norm(old.rows, axis=1)
    expected = np.maximum(old.lengths - penalty, 0)
    np.testing.assert_allclose(new.lengths, expected, atol=1e-12)
    assert (np.diff(pruned.objective) <= 1e-12 * max(1, pruned.objective[0])).all()
    assert (pruned.kept == (expected > 0).any(axis=0)).all()
    assert not pruned.network.weights[0][~pruned.kept].any()
    assert not pruned.network.weights[1][:, ~pruned.kept].any()
    np.testing.assert_allclose(
        pruned.network.weights[0][pruned.kept], network.weights[0][pruned.kept], atol=1e-12
    )
    assert length.shape == pruned.kept.shape


@pytest.mark.parametrize("form", FORMS)
def test_no_penalty_gives_the_network_back(form):
    network = random_network(4, 8, 3, seed=5)
    pruned = prune_block(network, 0.0, form)
    assert pruned.kept.all()
    for new, old in zip(pruned.network.weights, network.weights, strict=True):
        np.testing.assert_allclose(new, old, atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
def test_a_huge_penalty_removes_everything(form):
    pruned = prune_block(random_network(4, 8, 3), 1e6, form)
    assert not pruned.kept.any()
    assert not any(w.any() for w in pruned.network.weights)


@pytest.mark.parametrize("form", FORMS)
def test_permuting_neurons_permutes_the_answer(form):
    network = random_network(3, 7, 3, seed=6)
    A, c, B = arrays(network)
    order = np.random.default_rng(1).permutation(7)
    permuted = tropical.ReLUNetwork((A[order], B[:, order]), (c[order], network.biases[1]))
    one, two = prune_block(network, 0.4, form), prune_block(permuted, 0.4, form)
    assert 0 < one.kept.sum() < 7
    assert (one.kept[order] == two.kept).all()
    np.testing.assert_allclose(one.network.weights[1][:, order], two.network.weights[1], atol=1e-13)


def test_exactly_as_many_neurons_stay_as_asked_for():
    network = random_network(5, 20, 4, seed=7)
    for neurons in range(21):
        penalty = penalty_keeping(network, neurons)
        assert prune_block(network, penalty).kept.sum() == neurons


def test_rows_first_can_end_in_zero_where_weights_first_does_not():
    """One strong class among many weak ones: the reason for the order of the steps."""
    old = Generators(np.array([[1.0, 0.0]]), np.array([[10.0], *[[1.0]] * 20]))
    stuck = fit_weights(fit_rows(old.weights, old, 5.0).rows, old, 5.0)
    good = fit_weights(old.rows, old, 5.0)
    assert not stuck.lengths.any()
    assert pruning_objective(good, old, 5.0) < pruning_objective(stuck, old, 5.0)


def test_a_torch_model_will_do():
    from torch import nn

    model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 3))
    assert prune_block(model, penalty_keeping(model, 4)).kept.sum() == 4


def test_bad_input():
    network = random_network(2, 4, 3)
    with pytest.raises(ConfigError, match="one hidden layer and two classes, not 2 and 3"):
        prune_block(random_network(2, 4, 4, 3), 0.1)
    with pytest.raises(ConfigError, match="two classes, not 1 and 1"):
        prune_block(random_network(2, 4, 1), 0.1)
    with pytest.raises(ConfigError, match="no form 'other'"):
        generators(network, "other")
    for penalty in (-1.0, np.nan, [0.1, 0.2]):
        with pytest.raises(ConfigError, match="one for each of the 3 classes"):
            prune_block(network, penalty)
    with pytest.raises(ConfigError, match="between 0 and the 4"):
        penalty_keeping(network, 5)
    twins = tropical.ReLUNetwork((np.ones((2, 2)), np.eye(2)), (np.zeros(2), np.zeros(2)))
    with pytest.raises(ConfigError, match="neurons 1 and 2 in the order of length are equal"):
        penalty_keeping(twins, 1)
    assert class_weights(np.array([[1.0], [-2.0]]), "paper").ravel().tolist() == [3.0, 0.0]
