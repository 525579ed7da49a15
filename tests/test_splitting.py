"""ADMM on blocks against a general solver."""

import cvxpy as cp
import numpy as np
import pytest

from localbook.splitting import Splitting


def test_least_absolute_deviations_by_blocks_in_chambers_are_those_of_a_general_solver():
    rng = np.random.default_rng(0)
    X, y, beta = rng.normal(size=(8, 3)), rng.normal(size=8), 0.3
    D = np.unique(rng.normal(size=(30, 3)) @ X.T > 0, axis=0)
    e = rng.choice([-1.0, 1.0], size=len(D))
    u = cp.Variable((len(D), 3))
    outputs = cp.sum(cp.multiply((e[:, None] * D).T @ u, X), axis=1)
    price = cp.norm1(outputs - y) + beta * cp.sum(cp.norm(u, 2, axis=1))
    problem = cp.Problem(cp.Minimize(price), [cp.multiply(2.0 * D - 1, u @ X.T) >= 0])
    problem.solve(solver=cp.CLARABEL)

    def nearest(r, rho):
        return y + np.sign(r - y) * np.maximum(np.abs(r - y) - 1 / rho, 0)

    state = Splitting(X, D, e, nearest, beta, rho=1.0)
    for _ in range(200):
        state.steps(20, relax=1.7)
        state.balance()
    v, signs = state.nonzero(inside=True)
    value = np.abs(signs @ np.maximum(v @ X.T, 0) - y).sum()
    value += beta * np.linalg.norm(v, axis=1).sum()
    assert value == pytest.approx(problem.value, rel=1e-3)
