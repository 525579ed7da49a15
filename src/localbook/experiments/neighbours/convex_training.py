"""Convex training of two-layer ReLU networks beside Adam, and what is left out by sampling."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np

from localbook import neighbours
from localbook.arrays import Floats, Row
from localbook.errors import ConfigError
from localbook.experiments.harness import Experiment, Job, Samples, each_seed

convex = neighbours.convex_training
_SPARE = 500  # test samples


@dataclass(frozen=True)
class ConvexSetting:
    """Two-layer ReLU networks on points of the plane, at one profile.

    Attributes
    ----------
    points : int
        Samples of a teacher of four neurons, whose answers have noise of 0.1.
    beta : float
        Of the weight decay.
    rhos : tuple of float
        Penalties of plain ADMM.
    steps : tuple of int
        Of ADMM, after which it is looked at.
    counts : tuple of int
        Patterns, or directions, that are sampled.
    widths : tuple of int
        Of the networks that Adam trains.
    restarts : int
        Of each width.
    adam_steps : int
        At a rate of 0.01, and half as many at 0.001.
    timed_points : int
        Samples of the program that is timed.
    arcs : int
        Samples of two noisy half circles, for the robust program.
    eps : tuple of float
        Half the widths of their boxes.
    """

    seeds: int
    methods: tuple[str, ...]
    points: int = 14
    beta: float = 0.02
    rhos: tuple[float, ...] = (0.01, 0.1, 1.0)
    steps: tuple[int, ...] = (10, 30, 100, 300, 1000, 2000)
    counts: tuple[int, ...] = (4, 8, 16, 32, 64, 128)
    widths: tuple[int, ...] = (2, 4, 8, 16, 32)
    restarts: int = 3
    adam_steps: int = 10_000
    timed_points: int = 30
    arcs: int = 30
    eps: tuple[float, ...] = (0.08, 0.2)


def draw(setting: ConvexSetting, seed: int) -> dict[str, Samples]:
    """Return samples of a teacher, and of two classes, drawn by the seed."""
    rng = np.random.default_rng(seed)
    w, alpha = rng.normal(size=(4, 3)), rng.normal(size=4)
    splits = {}
    for split, count in (
        ("train", setting.points),
        ("timed", setting.timed_points),
        ("test", _SPARE),
    ):
        x = rng.normal(size=(count, 2))
        y = np.maximum(convex.with_ones(x) @ w.T, 0) @ alpha
        y += 0.1 * rng.normal(size=count) * (split != "test")
        splits[split] = Samples(x, y, "a teacher of four ReLUs in the plane, drawn")
    for split, count in (("arcs", setting.arcs), ("arcs-test", _SPARE // 10)):
        label = np.where(np.arange(count) % 2, 1.0, -1.0)
        angle = np.pi * rng.random(count)
        x = np.stack([np.cos(angle) + label / 2, label * (0.25 - np.sin(angle))], axis=1)
        x += 0.1 * rng.normal(size=x.shape)
        splits[split] = Samples(x, label, "two noisy half circles, drawn")
    return splits


def by_adam(
    X: Floats,
    y: Floats,
    beta: float,
    width: int,
    *,
    restarts: int,
    steps: int,
    seed: int,
    slope: Callable[[Floats, Floats], Floats] = lambda out, y: out - y,
) -> list[convex.Blocks]:
    """Return networks that full-batch Adam trained on the non-convex objective, all at once.

    ``slope`` gives the loss's derivative by the outputs (restarts, n); that of ½ Σ (f - y)² by
    default. In arrays, a step of such small networks takes a tenth of what it does in torch.
    """
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(restarts, width, X.shape[1])) / 2
    alpha = rng.choice([-1.0, 1.0], size=w.shape[:2]) * np.linalg.norm(w, axis=2)
    theta = np.concatenate([w, alpha[..., None]], axis=2)
    mean, square = np.zeros(theta.shape), np.zeros(theta.shape)
    for step in range(1, steps + steps // 2 + 1):
        hidden = np.maximum(theta[..., :-1] @ X.T, 0)  # (restarts, width, n)
        g = slope((theta[:, None, :, -1] @ hidden)[:, 0], y)
        into = (hidden > 0) * g[:, None] * theta[..., -1:]
        gradient = np.concatenate([into @ X, hidden @ g[..., None]], axis=2) + beta * theta
        mean += 0.1 * (gradient - mean)
        square += 0.001 * (gradient**2 - square)
        rate = 0.01 if step <= steps else 0.001
        size = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        theta -= rate * mean / (1 - 0.9**step) / size
    return [convex.Blocks(np.abs(t[:, -1:]) * t[:, :-1], np.sign(t[:, -1])) for t in theta]


def measured(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Run one method on the data of one seed."""
    splits, setting = job.splits(seed), job.setting
    if job.method in _ROBUST:
        return _robust(setting, splits, seed, _ROBUST[job.method])
    if job.method == "cvxpy":
        return _timed(convex.with_ones(splits["timed"].x), splits["timed"].y, setting.beta), []
    X, y, beta = convex.with_ones(splits["train"].x), splits["train"].y, setting.beta
    D = convex.patterns(X)
    optimum, bound = convex.solve(X, y, D, beta, gap=0.005)
    best = optimum.objective(X, y, beta)
    rows = [
        row | {"excess": round(found.objective(X, y, beta) / best - 1, 6)}
        for row, found in _METHODS[job.method](setting, X, y, D, seed)
    ]
    test = convex.with_ones(splits["test"].x), splits["test"].y
    row: Row = {
        "patterns": len(D),
        "most_patterns": convex.most_patterns(*X.shape),
        "optimum": round(best, 6),
        "gap": round(1 - bound / best, 6),
        "neurons": len(optimum.e),
        "test_error": round(float(np.square(optimum(test[0]) - test[1]).mean()), 6),
        "least_excess": min(row["excess"] for row in rows),
        "last_excess": rows[-1]["excess"],
    }
    return row, rows


def _by_admm(setting: ConvexSetting, X: Floats, y: Floats, D: Any, seed: int) -> Any:
    for rho in setting.rhos:
        found = islice(convex.admm(X, y, D, setting.beta, rho=rho), max(setting.steps))
        for step, blocks in enumerate(found, start=1):
            if step in setting.steps:
                yield {"rho": rho, "step": step}, blocks


def _by_patterns(setting: ConvexSetting, X: Floats, y: Floats, D: Any, seed: int) -> Any:
    for count in setting.counts:
        some = convex.sampled_patterns(X, count, seed)
        for found, _ in islice(convex.improving(X, y, some, setting.beta), 50):
            blocks = found
        yield {"count": count}, blocks


def _by_directions(setting: ConvexSetting, X: Floats, y: Floats, D: Any, seed: int) -> Any:
    u = np.random.default_rng(seed).normal(size=(max(setting.counts), X.shape[1]))
    for count in setting.counts:
        yield {"count": count}, convex.sampled_convex_program(X, y, u[:count], setting.beta)


def _by_adam(setting: ConvexSetting, X: Floats, y: Floats, D: Any, seed: int) -> Any:
    how: Row = {"restarts": setting.restarts, "steps": setting.adam_steps, "seed": seed}
    for width in setting.widths:
        for number, blocks in enumerate(by_adam(X, y, setting.beta, width, **how)):
            yield {"width": width, "restart": number}, blocks


_METHODS = {
    "admm": _by_admm,
    "sampled patterns": _by_patterns,
    "directions": _by_directions,
    "adam": _by_adam,
}


def _timed(X: Floats, y: Floats, beta: float) -> Row:
    """Return processor seconds to 1 % of the optimum: of the active set, and of cvxpy."""
    try:
        cp: Any = import_module("cvxpy")
    except ModuleNotFoundError:
        raise ConfigError("the method cvxpy needs it: pip install cvxpy clarabel.") from None

    def program(tolerance: float) -> tuple[float, float]:
        start = time.process_time()
        V = [cp.Variable((len(D), X.shape[1])) for _ in range(2)]
        fitted = cp.sum(cp.multiply(D.astype(float).T @ (V[0] - V[1]), X), axis=1)
        norms = sum(cp.sum(cp.norm(v, 2, axis=1)) for v in V)
        inside = [cp.multiply(2.0 * D - 1, v @ X.T) >= 0 for v in V]
        problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fitted - y) + beta * norms), inside)
        keys = ("tol_gap_rel", "tol_gap_abs", "tol_feas")
        problem.solve(solver=cp.CLARABEL, **dict.fromkeys(keys, tolerance))
        return problem.value, time.process_time() - start

    start = time.process_time()
    D = convex.patterns(X)
    listed = time.process_time() - start
    optimum, exact = program(1e-8)
    for tolerance in (1e-1, 1e-2, 1e-3, 1e-4):  # the loosest that gets there
        near, loose = program(tolerance)
        if abs(near / optimum - 1) <= 0.01:
            break
    start = time.process_time()
    for blocks, _ in islice(convex.improving(X, y, D, beta), 500):
        if blocks.objective(X, y, beta) <= 1.01 * optimum:
            break
    ours = time.process_time() - start
    start = time.process_time()
    convex.solve(X, y, D, beta, gap=0.01)
    return {
        "patterns": len(D),
        "patterns_s": round(listed, 5),
        "excess": round(blocks.objective(X, y, beta) / optimum - 1, 6),
        "ours_s": round(ours, 4),
        "certified_s": round(time.process_time() - start, 4),
        "cvxpy_s": round(exact, 4),
        "loose_cvxpy_s": round(loose, 4),
        "tolerance": tolerance,
        "ratio": round(loose / ours, 3),
    }


def _convex(x: Floats, y: Floats, eps: float, seed: int) -> convex.Blocks:
    return convex.robust(x, y, eps, _DECAY, steps=1000)


def _adversarial(x: Floats, y: Floats, eps: float, seed: int) -> convex.Blocks:
    """Return what Adam makes of the worst corner of each box."""
    boxes = convex.corners(x, eps)
    X, sides = convex.with_ones(boxes.reshape(-1, 2)), np.repeat(y, boxes.shape[1])

    def slope(out: Floats, y: Floats) -> Floats:
        lead = (y * out).reshape(len(out), *boxes.shape[:2])
        worst = (lead == lead.min(axis=2, keepdims=True)) & (lead < 1)
        found: Floats = -y * worst.reshape(out.shape) / len(boxes)
        return found

    return by_adam(X, sides, _DECAY, 30, restarts=1, steps=5000, seed=seed, slope=slope)[0]


_DECAY = 1e-3
_ROBUST = {"robust": _convex, "adversarial adam": _adversarial}


def _robust(setting: ConvexSetting, splits: Any, seed: int, method: Any) -> tuple[Row, list[Row]]:
    (x, y), (u, t) = ((splits[s].x, splits[s].y) for s in ("arcs", "arcs-test"))
    rows = []
    for eps in setting.eps:
        blocks = method(x, y, eps, seed)
        network = blocks.network()
        at_corners = 1 - y[:, None] * blocks(
            convex.with_ones(convex.corners(x, eps).reshape(-1, 2))
        ).reshape(len(x), -1)
        rows.append(
            {
                "eps": eps,
                "patterns": len(convex.robust_patterns(x, eps)),
                "certificate": round(float(np.maximum(at_corners, 0).max(axis=1).mean()), 9),
                "worst": round(float(convex.worst_hinge(network, x, y, eps).mean()), 9),
                "penalty": round(blocks.penalty(), 6),
                "clean": float((t * blocks(convex.with_ones(u)) > 0).mean()),
                "robust": float((convex.worst_hinge(network, u, t, eps) < 1).mean()),
            }
        )
    return {f"robust at {row['eps']:g}": row["robust"] for row in rows}, rows


_ALL = ("admm", "sampled patterns", "directions", "adam", "robust", "adversarial adam")

CONVEX_TRAINING = Experiment(
    {
        "quick": ConvexSetting(
            seeds=2,
            methods=_ALL,
            steps=(10, 100, 300),
            widths=(2, 8),
            restarts=3,
            adam_steps=500,
            eps=(0.08,),
        ),
        "cpu": ConvexSetting(seeds=10, methods=(*_ALL, "cvxpy")),
    },
    each_seed(measured),
    draw=draw,
)
