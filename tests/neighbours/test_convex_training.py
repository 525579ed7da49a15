"""The convex program against a general solver, and its promises against what can be measured."""

from dataclasses import replace
from itertools import islice

import cvxpy as cp
import numpy as np
import pytest

from localbook import neighbours, runs, tropical
from localbook.errors import ConfigError, TrainingError
from localbook.experiments import run, setting

convex = neighbours.convex_training
BETA = 0.02


def samples(seed, n=10):
    rng = np.random.default_rng(seed)
    X = convex.with_ones(rng.normal(size=(n, 2)))
    y = np.maximum(X @ rng.normal(size=(3, 4)), 0) @ rng.normal(size=4)
    return X, y + 0.1 * rng.normal(size=n)


def program(X, D, loss):
    """Solve a convex program by Clarabel: its value, and the blocks."""
    V = [cp.Variable((len(D), X.shape[1])) for _ in range(2)]
    f = cp.sum(cp.multiply(D.astype(float).T @ (V[0] - V[1]), X), axis=1)
    penalty = sum(cp.sum(cp.norm(v, 2, axis=1)) for v in V)
    inside = [cp.multiply(2.0 * D - 1, v @ X.T) >= 0 for v in V]
    problem = cp.Problem(cp.Minimize(loss(f) + BETA * penalty), inside)
    problem.solve(solver=cp.CLARABEL)
    e = np.repeat([1.0, -1.0], len(D))
    return problem.value, convex.Blocks(np.concatenate([v.value for v in V]), e)


def squares(y):
    return lambda f: 0.5 * cp.sum_squares(f - y)


@pytest.mark.parametrize("seed", range(3))
def test_the_network_reaches_the_optimum_of_a_general_solver_and_proves_it(seed):
    X, y = samples(seed)
    D = convex.patterns(X)
    optimum, exact = program(X, D, squares(y))
    assert exact.objective(X, y, BETA) == pytest.approx(optimum, rel=1e-5)
    found, bound = convex.solve(X, y, D, BETA, gap=0.002)
    assert bound <= optimum * (1 + 1e-6)
    assert optimum * (1 - 1e-6) <= found.objective(X, y, BETA) <= 1.002 * optimum
    *_, last = islice(convex.admm(X, y, D, BETA, rho=0.1), 5000)
    assert last.objective(X, y, BETA) == pytest.approx(optimum, rel=0.01)


def test_of_some_patterns_it_finds_their_own_optimum():
    X, y = samples(1)
    D = convex.sampled_patterns(X, 12, seed=3)
    optimum, _ = program(X, D, squares(y))
    *_, (found, _) = islice(convex.improving(X, y, D, BETA), 100)
    value = found.objective(X, y, BETA)
    assert value <= optimum * 1.01  # below it where a block has left its chamber
    best, _ = convex.solve(X, y, convex.patterns(X), BETA, gap=0.01)
    assert value > best.objective(X, y, BETA)


def test_the_networks_objective_is_that_of_its_neurons():
    X, y = samples(2)
    rng = np.random.default_rng(0)
    blocks = convex.Blocks(rng.normal(size=(6, 3)), np.array([1.0, -1, 1, 1, -1, -1]))
    net = blocks.network()
    w = np.column_stack([net.weights[0], net.biases[0]])
    decay = (np.square(w).sum() + np.square(net.weights[1]).sum()) / 2
    fit = np.square(net(X[:, :-1])[:, 0] - y).sum() / 2
    assert blocks.objective(X, y, BETA) == pytest.approx(fit + BETA * decay, rel=1e-12)
    assert convex.Blocks(np.zeros((2, 3)), np.ones(2)).network()([[1.0, 2.0]]).tolist() == [[0, 0]]


@pytest.mark.parametrize("seed", range(4))
def test_no_residual_gives_a_bound_above_the_optimum(seed):
    X, y = samples(seed)
    D = convex.patterns(X)
    optimum, exact = program(X, D, squares(y))
    assert convex.lower_bound(X, y, D, BETA, y - exact(X)) == pytest.approx(optimum, rel=1e-3)
    for z in np.random.default_rng(seed).normal(size=(20, len(y))):
        assert convex.lower_bound(X, y, D, BETA, z) <= optimum


def test_reach_is_the_most_that_a_direction_of_the_chamber_attains():
    X, _ = samples(0, n=6)
    D, z = convex.patterns(X), np.random.default_rng(5).normal(size=6)
    u = np.random.default_rng(1).normal(size=(100_000, 3))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    value = np.maximum(u @ X.T, 0) @ z
    up, down = convex.reach(X, D, z, 0.0)
    for i, d in enumerate(D):
        of = value[((u @ X.T > 0) == d).all(axis=1)]
        if len(of) > 1000:
            assert of.max() <= up[i] + 1e-9
            assert -of.min() <= down[i] + 1e-9
    assert value.max() == pytest.approx(up.max(), rel=1e-3)
    assert -value.min() == pytest.approx(down.max(), rel=1e-3)


def test_fixed_directions_solve_their_lasso_from_above():
    X, y = samples(3)
    u = np.random.default_rng(0).normal(size=(40, 3))
    unit = u / np.linalg.norm(u, axis=1, keepdims=True)
    alpha = cp.Variable(40)
    fitted = np.maximum(X @ unit.T, 0) @ alpha
    problem = cp.Problem(cp.Minimize(squares(y)(fitted) + BETA * cp.norm1(alpha)))
    problem.solve(solver=cp.CLARABEL)
    found = convex.sampled_convex_program(X, y, u, BETA)
    assert found.objective(X, y, BETA) == pytest.approx(problem.value, rel=1e-3)
    assert found.objective(X, y, BETA) > convex.solve(X, y, convex.patterns(X), BETA, gap=0.01)[1]


def test_the_robust_certificate_is_the_worst_case_that_is_measured():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(10, 2))
    labels, eps = np.where(x[:, 0] > x[:, 1] ** 2, 1.0, -1.0), 0.05
    found = convex.robust(x, labels, eps, BETA, steps=3000)
    X, sides = convex.with_ones(convex.corners(x, eps).reshape(-1, 2)), np.repeat(labels, 4)
    hinge = np.maximum(1 - sides * found(X), 0).reshape(10, 4).max(axis=1)
    assert np.allclose(convex.worst_hinge(found.network(), x, labels, eps), hinge, atol=1e-10)

    def worst(f):
        each = cp.reshape(cp.pos(1 - cp.multiply(sides, f)), (10, 4), order="C")
        return cp.sum(cp.max(each, axis=1)) / 10

    optimum, _ = program(X, convex.robust_patterns(x, eps), worst)
    value = hinge.mean() + BETA * found.penalty()
    assert optimum * (1 - 1e-6) <= value <= 1.02 * optimum


def test_a_network_that_folds_within_a_box_is_worse_than_at_its_corners():
    net = tropical.ReLUNetwork(
        (np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])),
        (np.zeros(2), np.zeros(2)),
    )  # |x|, and zero
    assert convex.worst_hinge(net, np.zeros((1, 2)), np.ones(1), 0.5).tolist() == [1.0]


def test_robust_patterns_are_those_that_all_boxes_keep():
    x, eps = np.random.default_rng(1).normal(size=(6, 2)), 0.1
    D = convex.robust_patterns(x, eps)
    u = np.random.default_rng(2).normal(size=(200_000, 3))
    margin = np.abs(u @ convex.with_ones(x).T) >= eps * np.abs(u[:, :2]).sum(axis=1)[:, None]
    met = np.unique(u[margin.all(axis=1)] @ convex.with_ones(x).T > 0, axis=0)
    assert set(map(bytes, met)) <= set(map(bytes, D[:, ::4]))
    assert len(met) > len(D) // 2


def test_bad_input_is_refused_in_one_sentence():
    X, y = samples(0)
    D = convex.patterns(X)
    with pytest.raises(ConfigError, match="must be positive, and the data finite"):
        next(convex.admm(X, y, D, 0.0, rho=0.1))
    with pytest.raises(ConfigError, match=r"give \(n, d\), \(n,\) and \(P, n\)"):
        next(convex.improving(X, y[:-1], D, BETA))
    with pytest.raises(ConfigError, match="give finite numbers"):
        convex.with_ones([[np.nan, 0.0]])
    with pytest.raises(ConfigError, match="give one for each input, -1 or 1"):
        convex.robust(X[:, :2], y, 0.1, BETA, steps=20)
    with pytest.raises(ConfigError, match="above zero"):
        convex.corners(X[:, :2], 0.0)
    with pytest.raises(TrainingError, match="allow a larger one"):
        convex.solve(X, y, D[:4], BETA, gap=-1.0)


def test_the_experiment_runs_twice_to_equal_records_and_no_network_is_below_the_bound(tmp_path):
    own = replace(
        setting("convex-training", "quick"), seeds=1, points=8, arcs=6, adam_steps=40, counts=(4, 8)
    )
    once, twice = (
        [runs.read(p) for p in run("convex-training", setting=own, out=tmp_path / name)]
        for name in "ab"
    )
    for one, other in zip(once, twice, strict=True):
        assert one.history == other.history
    for record in once:
        for row in record.history:
            if "excess" in row and record.method != "admm":
                assert row["excess"] >= -record.final[0]["gap"] - 1e-6
            if record.method == "robust":
                assert row["certificate"] == pytest.approx(row["worst"], abs=1e-8)
