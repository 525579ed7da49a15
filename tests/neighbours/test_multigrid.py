"""MgNO: cycles beside matrices, solutions beside other solvers, and the claims at a small size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook import runs
from localbook.errors import ConfigError
from localbook.experiments import EXPERIMENTS, run, setting
from localbook.neighbours import multigrid as mg

ALL = list(mg.BOUNDARIES)
SIDES = {"dirichlet": 15, "neumann": 17, "periodic": 16}


def functions(*shape):
    return torch.tensor(np.random.default_rng(0).normal(size=shape))


def neighbour(j, n, boundary):
    """Where point j of n lies, or None if it is on the boundary, where u is zero."""
    if boundary == "periodic":
        return j % n
    if boundary == "neumann":
        return min(abs(j), 2 * (n - 1) - abs(j))
    return j if 0 <= j < n else None


def matrix(n, boundary):
    """The stencil of five points, one entry after the other, (n², n²)."""
    one = 2 * np.eye(n)
    for i in range(n):
        for j in (i - 1, i + 1):
            if (at := neighbour(j, n, boundary)) is not None:
                one[i, at] -= 1
    return np.kron(one, np.eye(n)) + np.kron(np.eye(n), one)


def transfers(m, n, boundary):
    """Full weighting (m², n²) and linear interpolation (n², m²) between grids of a boundary."""
    R, P = np.zeros((m, n)), np.zeros((n, m))
    for i in range(m):
        for d, weight in ((-1, 0.25), (0, 0.5), (1, 0.25)):
            j = 2 * i + d + (boundary == "dirichlet")
            R[i, neighbour(j, n, boundary)] += weight
            if boundary == "periodic" or 0 <= j < n:
                P[j % n, i] += 2 * weight
    return np.kron(R, R), np.kron(P, P)


def v_cycle(f, u, n, levels, boundary):
    """The textbook's, with one step before, one after, and one on the coarsest grid."""
    A = matrix(n, boundary)
    u = u + 0.2 * (f - A @ u)
    if levels == 1:
        return u
    extra = mg.BOUNDARIES[boundary][1]
    m = (n - extra) // 2 + extra
    R, P = transfers(m, n, boundary)
    u = u + P @ v_cycle(4 * R @ (f - A @ u), np.zeros(m * m), m, levels - 1, boundary)
    return u + 0.2 * (f - A @ u)


@pytest.mark.parametrize("boundary", ALL)
def test_with_classical_weights_it_is_the_v_cycle(boundary):
    n = SIDES[boundary]
    f = functions(1, 1, n, n)
    with torch.no_grad():
        ours = mg.classical([(1, 1)] * 3, boundary)(f).flatten().numpy()
    theirs = v_cycle(f.flatten().numpy(), np.zeros(n * n), n, 3, boundary)
    assert np.allclose(ours, theirs, atol=1e-12)
    assert np.allclose(
        mg.five_point(f, boundary).flatten(), matrix(n, boundary) @ f.flatten().numpy()
    )


@pytest.mark.parametrize("boundary", ALL)
def test_it_contracts_alike_on_every_grid_and_jacobi_does_not(boundary):
    rates, slow = [], []
    for q in (4, 5, 6):
        n = 2**q + mg.BOUNDARIES[boundary][1]
        W = mg.classical([(1, 1)] * (q + (boundary == "neumann")), boundary)
        sizes = mg.errors(W, n, boundary, cycles=8)
        rates.append((sizes[8] / sizes[3]) ** (1 / 5))
        jacobi = mg.errors(lambda f: 0.2 * f, n, boundary, cycles=200)
        slow.append(jacobi[200] / jacobi[199])
    assert max(rates) < 0.36  # the square of the smoothing factor, 3/5
    assert max(rates) - min(rates) < 0.02
    assert slow == sorted(slow)
    assert slow[0] > 0.95


@pytest.mark.parametrize("boundary", ALL)
@pytest.mark.parametrize("residual", [True, False])
def test_a_cycle_is_linear_and_maps_m_functions_to_c(boundary, residual):
    torch.manual_seed(0)
    W = mg.Cycle(2, 3, [(1, 1), (2, 1), (2, 0)], boundary=boundary, residual=residual).double()
    f, g = functions(2, 4, 2, SIDES[boundary], SIDES[boundary])
    assert W(f).shape == (4, 3, SIDES[boundary], SIDES[boundary])
    assert torch.allclose(W(2 * f - 3 * g), 2 * W(f) - 3 * W(g))


def test_as_released_f_and_u_go_down_by_themselves():
    torch.manual_seed(0)
    W = mg.Cycle(2, 3, [(1, 0), (1, 0)], residual=False).double()
    f = functions(1, 2, 7, 7)
    u = W.S[0][0](f)
    start, below = W.Pi[0](u), W.R[0](f)
    below = start + W.S[1][0](below - W.A[1][0](start))
    assert torch.allclose(W(f), u + W.P[0](below))
    # six levels of the released setting, with 3 x 3 in place of 4 x 4 on the way up
    W = mg.Cycle(5, 5, [(1, 0)] * 5 + [(2, 0)], residual=False)
    assert sum(w.numel() for w in W.parameters()) == 9 * 25 * (7 + 6 + 3 * 5)


def test_shifts_commute_with_a_periodic_cycle_by_multiples_of_the_coarsest_mesh():
    torch.manual_seed(0)
    W, f = mg.Cycle(1, 2, [(1, 1)] * 3, boundary="periodic").double(), functions(1, 1, 16, 16)
    assert torch.allclose(W(f.roll((4, 8), (2, 3))), W(f).roll((4, 8), (2, 3)))


@pytest.mark.parametrize(
    ("boundary", "levels", "n"),
    [
        *[("dirichlet", 3, n) for n in (3, 8, 16, 13)],
        *[("neumann", 3, n) for n in (1, 3, 8, 16)],
        *[("periodic", 3, n) for n in (2, 9, 17)],
    ],
)
def test_a_grid_that_does_not_nest_is_refused(boundary, levels, n):
    W = mg.Cycle(1, 1, [(1, 1)] * levels, boundary=boundary)
    with pytest.raises(ConfigError, match="points a side"):
        W(torch.zeros(1, 1, n, n))


@pytest.mark.parametrize("boundary", ALL)
def test_the_smallest_grids_have_a_coarsest_one(boundary):
    n = {"dirichlet": 7, "neumann": 5, "periodic": 4}[boundary]
    assert mg.Cycle(1, 1, [(1, 1)] * 3, boundary=boundary)(torch.zeros(1, 1, n, n)).shape[3] == n


@pytest.mark.parametrize(
    ("steps", "boundary"), [([], "periodic"), ([(0, 1)], "periodic"), ([(1, 1)], "robin")]
)
def test_a_cycle_that_makes_no_sense_is_refused(steps, boundary):
    with pytest.raises(ConfigError, match="choose one of dirichlet"):
        mg.Cycle(1, 1, steps, boundary=boundary)


@pytest.mark.parametrize("boundary", ALL)
@pytest.mark.parametrize("decay", [-2.0, 0.0, 1.0])
def test_solutions_solve_and_no_operator_would_have_a_larger_norm(boundary, decay):
    n = SIDES[boundary]
    f = mg.sources(np.random.default_rng(1).normal(size=(3, n, n)), boundary, decay=decay)
    assert np.square(f).mean() == pytest.approx(1)
    u = mg.poisson(f, boundary)
    least = np.linalg.eigvals(matrix(n, boundary)).real
    least = least[least > 1e-9].min()
    back = mg.five_point(torch.tensor(u)[:, None], boundary)[:, 0].numpy() / least
    assert np.allclose(back, f, atol=1e-10)


def by_entries(a):
    """Darcy's problem, point by point."""
    n = len(a) - 2
    A = np.zeros((n * n, n * n))
    for i in range(1, n + 1):
        for j in range(1, n + 1):
            for p, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                flow = 2 / (1 / a[i, j] + 1 / a[p, q])
                A[(i - 1) * n + j - 1, (i - 1) * n + j - 1] += flow
                if min(p, q) >= 1 and max(p, q) <= n:
                    A[(i - 1) * n + j - 1, (p - 1) * n + q - 1] -= flow
    return np.linalg.solve(A, np.full(n * n, 1 / (n + 1) ** 2)).reshape(n, n)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(st.integers(2, 6), st.integers(0, 99), st.sampled_from([1.0, 4.0, 1e6]))
def test_darcy_is_the_dense_solution(n, seed, contrast):
    a = np.where(np.random.default_rng(seed).random((n + 2, n + 2)) < 0.5, 1.0, contrast)
    assert np.allclose(mg.darcy(a), by_entries(a), rtol=1e-8)


def test_a_constant_coefficient_divides_the_solution_of_poissons_problem():
    one = mg.poisson(np.ones((1, 15, 15)))[0] / (8 * 16**2 * np.sin(np.pi / 32) ** 2)
    assert np.allclose(mg.darcy(np.full((17, 17), 5.0)), one / 5)


@pytest.mark.parametrize(
    "a", [np.ones((3, 4)), np.ones((3, 3)), np.zeros((5, 5)), np.full((5, 5), np.nan)]
)
def test_a_coefficient_that_makes_no_sense_is_refused(a):
    with pytest.raises(ConfigError, match="a square of positive numbers"):
        mg.darcy(a)


def test_coefficients_have_two_values_and_both_often():
    a = mg.coefficients(np.random.default_rng(0).normal(size=(100, 17, 17)))
    assert set(np.unique(a)) == {3.0, 12.0}
    assert abs((a == 3).mean() - 0.5) < 0.1
    assert (a[:, 1:] == a[:, :-1]).mean() > 0.9


def test_the_relative_error_is_a_mean_over_functions():
    u = functions(4, 1, 3, 3)
    assert mg.relative(torch.cat([u, 2 * u], 1), u).item() == pytest.approx(0.5)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    paths = [p for name in ("multigrid", "multigrid-darcy")
             for p in run(name, profile="quick", out=tmp_path_factory.mktemp("out"))]  # fmt: skip
    return {(r.experiment, r.method): r for r in map(runs.read, paths)}


def of(records, method, key, name="multigrid"):
    return np.array([row[key] for row in records[name, method].final])


def test_levels_and_the_right_padding_make_it_exact(records):
    ours = of(records, "v-cycle", "test")
    assert (2 * ours < of(records, "one-level", "test")).all()
    assert (ours < of(records, "spectral", "test")).all()
    for boundary in ("neumann", "periodic"):
        own, other = (of(records, m, boundary) for m in ("v-cycle", "other-padding"))
        assert (own < other).all()


def test_mgno_learns_darcys_operator(records):
    assert of(records, "mgno", "test", "multigrid-darcy").max() < 0.3
    assert all(r["fine"] > r["test"] for r in records["multigrid-darcy", "mgno"].final)


def test_runs_repeat(records, tmp_path):
    small = replace(setting("multigrid-darcy", "quick"), methods=("mgno",), seeds=1)
    again = runs.read(run("multigrid-darcy", setting=small, out=tmp_path)[0])
    same = [{k: v for k, v in r.items() if k != "seconds"}
            for r in (again.final[0], records["multigrid-darcy", "mgno"].final[0])]  # fmt: skip
    assert same[0] == same[1]


@pytest.mark.parametrize("method", setting("multigrid-darcy", "cpu").methods)
def test_every_network_has_at_most_twenty_thousand_numbers_and_runs(method, tmp_path):
    small = replace(
        setting("multigrid-darcy", "cpu"), train=8, test=4, steps=2, looks=1, seeds=1, rates=(0.01,)
    )
    record = runs.read(run("multigrid-darcy", setting=small, methods=[method], out=tmp_path)[0])
    assert 18_000 < record.sizes["parameters"] < 21_000
    assert np.isfinite(record.final[0]["coarse_first"])


def test_layers_that_learn_apart_send_nothing_back(tmp_path):
    darcy = EXPERIMENTS["multigrid-darcy"]
    small = replace(darcy.profiles["quick"], methods=("local",))
    record = runs.read(run("multigrid-darcy", setting=small, out=tmp_path)[0])
    assert all(row["layer_2"] == row["test"] for row in record.final)


@pytest.mark.parametrize("change", [{"n": 30}, {"levels": 5}, {"train": 0}])
def test_a_setting_that_makes_no_sense_is_refused(change):
    with pytest.raises(ConfigError, match="multiple of 2\\^levels"):
        replace(setting("multigrid", "quick"), **change)
