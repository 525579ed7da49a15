"""Where SGD and gradient descent come to rest, and modules that learn by themselves."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from localbook import neighbours
from localbook.arrays import Floats, Row
from localbook.experiments.harness import Experiment, Job, Samples, each_seed, significant

stability = neighbours.dynamical_stability
_SPARE = 1000  # test samples


@dataclass(frozen=True)
class Stability:
    """The sizes, by default those of the paper's own experiments as a reproduction quotes them.

    Attributes
    ----------
    diagonal, relu, chain : tuple of int
        Inputs and samples; for the last two the width as well. The chain has three modules.
    rates, gd_rates, relu_rates, relu_gd_rates, chain_rates : tuple of float
    steps, relu_steps, gd_steps : int
        Of SGD on the first model and on the others, and of gradient descent.
    noise : float
        Of the labels, where it is drawn anew at every step.
    """

    seeds: int = 5
    methods: tuple[str, ...] = ()
    diagonal: tuple[int, int] = (1000, 300)
    relu: tuple[int, int, int] = (100, 300, 100)
    chain: tuple[int, int, int] = (20, 40, 30)
    rates: tuple[float, ...] = (0.0015, 0.004, 0.008, 0.016, 0.032, 0.063, 0.126)
    gd_rates: tuple[float, ...] = (0.016, 0.032, 0.063, 0.126, 0.4, 0.8, 1.6)
    relu_rates: tuple[float, ...] = (0.0002, 0.0004, 0.0008, 0.0014, 0.002)
    relu_gd_rates: tuple[float, ...] = (0.0008, 0.0014, 0.002, 0.02, 0.03)
    chain_rates: tuple[float, ...] = (0.01, 0.02, 0.04, 0.08)
    steps: int = 60_000
    relu_steps: int = 40_000
    gd_steps: int = 4_000
    noise: float = 0.5


def draw(setting: Stability, seed: int) -> dict[str, Samples]:
    """Return samples of a sparse linear teacher, and of ReLU teachers on the sphere of radius √d.

    Each kind of network has its own, and fresh ones to test on, such as ``relu`` and ``relu-test``.
    """
    rng = np.random.default_rng(seed)
    d, n = setting.diagonal
    x = rng.uniform(-1, 1, size=(n + _SPARE, d))
    drawn = {"diagonal": (x, x[:, :3].sum(axis=1), n, "(1, 1, 1, 0, ...) · x, x uniform, drawn")}
    for name, (d, n, _), m in (("relu", setting.relu, 10), ("chain", setting.chain, 4)):
        x, w = (_unit(rng.normal(size=(k, d))) for k in (n + _SPARE, m))
        x, e = np.sqrt(d) * x, rng.choice([-1.0, 1.0], size=m)
        source = f"a teacher of {m} ReLUs on the sphere, drawn"
        drawn[name] = x, np.maximum(x @ w.T, 0) @ e, n, source
    splits = {}
    for name, (x, y, n, source) in drawn.items():
        splits[name], splits[f"{name}-test"] = (
            Samples(x[s], y[s], source) for s in (slice(n), slice(n, None))
        )
    return splits | {"test": splits["diagonal-test"]}


def _unit(x: Floats) -> Floats:
    out: Floats = x / np.linalg.norm(x, axis=1, keepdims=True)
    return out


def network(kind: str, setting: Stability, rates: int, seed: int) -> Any:
    """Return equal networks for so many rates: ``diagonal``, ``relu``, ``modules``, ``end to end``.

    a and b of the first are N(0, 1); of the second a is N(0, 1) and w is N(0, I/√d). A chain has
    three modules, with weights N(0, 2/fan-in) and heads N(0, 1/m).
    """
    rng = np.random.default_rng([seed, 2])

    def same(scale: float, *shape: int) -> Floats:
        return np.repeat(scale * rng.normal(size=(1, *shape)), rates, axis=0)

    if kind == "diagonal":
        d, _ = setting.diagonal
        return stability.Diagonal(same(1, d), same(1, d))
    if kind == "relu":
        d, _, m = setting.relu
        return stability.Chain([same(d**-0.25, m, d)], [same(1, m)])
    d, _, m = setting.chain
    sizes = [(m, d), (m, m), (m, m)]
    w = [same(np.sqrt(2 / inputs), m, inputs) for m, inputs in sizes]
    return stability.Chain(w, [same(m**-0.5, m) for _ in sizes], local=kind == "modules")


@dataclass(frozen=True)
class Method:
    """What is trained (a ``kind`` of :func:`network`), by batches of what size, and where.

    ``rates`` and ``steps`` are names of fields of the setting.
    """

    kind: str
    batch: float
    rates: str
    steps: str = "steps"
    noisy: bool = False


METHODS = {
    "sgd": Method("diagonal", 1, "rates"),
    "gd": Method("diagonal", np.inf, "gd_rates", "gd_steps"),
    "batch 8": Method("diagonal", 8, "rates"),
    "fresh noise": Method("diagonal", 1, "rates", noisy=True),
    "relu sgd": Method("relu", 1, "relu_rates", "relu_steps"),
    "relu gd": Method("relu", np.inf, "relu_gd_rates", "gd_steps"),
    "modules": Method("modules", 1, "chain_rates", "relu_steps"),
    "end to end": Method("end to end", 1, "chain_rates", "relu_steps"),
}
"""Both models of the paper by SGD and by gradient descent, controls, and chains of modules."""


def measure(net: Any, k: int, eta: float, batch: float, data: Samples) -> Row:
    """Return what the claims say of network k at its rate, rounded to four digits.

    Keys are ``loss``, the largest of those minimised; ``ratio``, η tr H / 2; ``top``, η λ_max / 2;
    ``bounded`` and ``exact``, η over the ``Minimum``'s ``bound`` and ``largest_step``, the second
    at rest, for batches of one or all; ``norm`` and ``squares``, its ``norms``. For a chain
    ``modules`` are η tr H_l / 2 of what trains each, and ``ratio`` is of the last loss by all
    weights that it could train. A network that diverged has no loss, a dead one no ratio.
    """
    x, y = data.x, data.y
    row: Row = {"loss": max(float(np.square(f[k] - y).mean() / 2) for f in net.outputs(x))}
    if not np.isfinite(row["loss"]):
        return {"loss": None, "ratio": None}
    blocks = net.gradients(x, k)
    if not all(g.any() for g in blocks):  # every ReLU of a module is dead
        return row | {"ratio": None}
    if len(blocks) > 1:
        whole = stability.Chain(net.w, net.a, local=False).gradients(x, k)
        row |= {
            "modules": [significant(eta * stability.Minimum(g).trace / 2, 4) for g in blocks],
            "ratio": eta * stability.Minimum(np.hstack(whole)).trace / 2,
        }
    else:
        at = stability.Minimum(blocks[0])
        row |= {"ratio": eta * at.trace / 2, "top": eta * at.top / 2}
        row["bounded"] = eta / at.bound(batch)
        rests = row["loss"] < 1e-3 and batch in (1, np.inf)
        row["exact"] = eta / at.largest_step(batch) if rests else None
        row["norm"], row["squares"] = net.norms(k)
    return {key: significant(v, 4) if isinstance(v, float) else v for key, v in row.items()}


def measured(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train one method at all its rates: the largest ratio and least error, and all rows."""
    setting, how = job.setting, METHODS[job.method]
    rates, splits = getattr(setting, how.rates), job.splits(seed)
    name = how.kind if how.kind in splits else "chain"
    data, fresh = splits[name], splits[f"{name}-test"]
    net = network(how.kind, setting, len(rates), seed)
    noise = setting.noise if how.noisy else 0.0
    plan: Row = {"batch": how.batch, "steps": getattr(setting, how.steps), "noise": noise}
    for _ in stability.train(net, data.x, data.y, rates, seed=seed, **plan):
        pass
    rows = []
    for k, eta in enumerate(rates):
        row = {"rate": eta} | measure(net, k, eta, how.batch, data)
        if row["ratio"] is not None:
            wrong = net.outputs(fresh.x)[-1][k] - fresh.y
            row["test_error"] = significant(np.square(wrong).mean() / np.square(fresh.y).mean(), 4)
        rows.append(row)
    kept = [row for row in rows if row["ratio"] is not None]
    worst = {"ratio": max(row["ratio"] for row in kept)}
    return worst | {"test_error": min(row["test_error"] for row in kept)}, rows


DYNAMICAL_STABILITY = Experiment(
    {
        "quick": Stability(
            seeds=2,
            methods=tuple(METHODS),
            diagonal=(100, 30),
            relu=(20, 30, 30),
            chain=(8, 12, 12),
            rates=(0.02, 0.1, 0.4),
            gd_rates=(0.1, 0.4, 1.0),
            relu_rates=(0.001, 0.004),
            relu_gd_rates=(0.004, 0.02),
            chain_rates=(0.02, 0.05),
            steps=8_000,
            relu_steps=8_000,
            gd_steps=1_000,
        ),
        "cpu": Stability(methods=tuple(METHODS)),
    },
    each_seed(measured),
    draw=draw,
)
