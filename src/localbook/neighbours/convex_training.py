"""Training a two-layer ReLU network to the global optimum, by a convex program (bai2023efficient).

Which samples a neuron sees is its pattern, a chamber of the hyperplanes x_k·u = 0, and within a
chamber the network is linear in its weights. So with one block v for each pattern and each sign of
the output weight, held in its chamber, training with weight decay is a group lasso. All patterns
come from the zonotope whose generators are the samples. ADMM, the sampled convex program and the
robust version are reconstructed from the papers' abstracts and openings; that ADMM splits the loss
off, too, and the active set are ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, product

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from localbook.arrays import Floats, Masks
from localbook.errors import ConfigError, TrainingError
from localbook.splitting import Splitting
from localbook.tropical import ReLUNetwork, linear_regions, most_patterns, sampled_patterns
from localbook.tropical import activation_patterns as patterns

__all__ = [
    "Blocks",
    "admm",
    "corners",
    "improving",
    "lower_bound",
    "most_patterns",
    "patterns",
    "reach",
    "robust",
    "robust_patterns",
    "sampled_convex_program",
    "sampled_patterns",
    "solve",
    "with_ones",
    "worst_hinge",
]


def with_ones(x: ArrayLike) -> Floats:
    """Return inputs (n, d - 1) with a column of ones, which bears the biases: X (n, d)."""
    inputs = np.asarray(x, dtype=float)
    if inputs.ndim != 2 or not inputs.size or not np.isfinite(inputs).all():
        raise ConfigError(f"inputs of shape {inputs.shape}: give finite numbers (n, inputs).")
    return np.column_stack([inputs, np.ones(len(inputs))])


@dataclass(frozen=True, eq=False)
class Blocks:
    """The neurons of a two-layer network, as the convex program has them.

    Attributes
    ----------
    v : float array, shape (m, d)
        A block for each neuron: the last column is for its bias.
    e : float array, shape (m,)
        The signs of the output weights: +1 for a v of the paper, -1 for a w.
    """

    v: Floats
    e: Floats

    def __call__(self, X: Floats) -> Floats:
        """Return the network's output (n,) at samples X (n, d)."""
        return np.maximum(X @ self.v.T, 0) @ self.e

    def penalty(self) -> float:
        """Return Σ ‖v_i‖, which is ½ Σ (‖w_j‖² + α_j²) of the network."""
        return float(np.linalg.norm(self.v, axis=1).sum())

    def objective(self, X: Floats, y: Floats, beta: float) -> float:
        """Return ½‖f(X) - y‖² + β Σ ‖v_i‖, the non-convex objective of this network."""
        return float(0.5 * np.square(self(X) - y).sum() + beta * self.penalty())

    def network(self) -> ReLUNetwork:
        """Return the neurons (v/√‖v‖, ±√‖v‖) as a network whose second score is zero."""
        root = np.sqrt(np.linalg.norm(self.v, axis=1))
        w, out = self.v[root > 0] / root[root > 0, None], (self.e * root)[root > 0]
        if not len(w):
            w, out = np.zeros((1, self.v.shape[1])), np.zeros(1)
        return ReLUNetwork((w[:, :-1], np.stack([out, 0 * out])), (w[:, -1], np.zeros(2)))


def _start(X: Floats, y: Floats, D: Masks, beta: float, rho: float) -> Splitting:
    if X.ndim != 2 or y.shape != X.shape[:1] or D.shape[1:] != y.shape or not len(D):
        raise ConfigError(f"X {X.shape}, y {y.shape}, D {D.shape}: give (n, d), (n,) and (P, n).")
    if not (beta > 0 and rho > 0 and np.isfinite(X).all() and np.isfinite(y).all()):
        raise ConfigError(f"beta={beta} and rho={rho} must be positive, and the data finite.")
    squares = lambda r, rho: (rho * r + y) / (rho + 1)  # noqa: E731 (the prox of ½‖r - y‖²)
    return Splitting(X, np.vstack([D, D]), np.repeat([1.0, -1.0], len(D)), squares, beta, rho)


def admm(X: Floats, y: Floats, D: Masks, beta: float, *, rho: float) -> Iterator[Blocks]:
    """Yield the network after every step of plain ADMM: samples X (n, d), y (n,), patterns (P, n).

    It is read off v, which is sparse; at first it is not in its chambers.
    """
    state = _start(X, y, D, beta, rho)
    while True:
        state.steps(1)
        yield Blocks(*state.nonzero())


def improving(X: Floats, y: Floats, D: Masks, beta: float) -> Iterator[tuple[Blocks, Floats]]:
    """Yield better and better networks, each with a residual (n,) for :func:`lower_bound`.

    Twenty steps of ADMM on all blocks choose 6n of them, and there is a yield after each 20 more.
    After 100, those with the most violated constraints of the dual are added and zeros dropped.
    """
    n, state, known = len(y), _start(X, y, D, beta, rho=0.3), {row.tobytes() for row in D}
    all_D, all_e, best, least, before = state.D, state.e, Blocks(*state.nonzero()), np.inf, np.inf
    state.steps(20, relax=1.9)
    state.only(np.argsort(-np.linalg.norm(state.v, axis=1))[: 6 * n], D[:0], all_e[:0])
    while True:
        for _ in range(5):
            state.steps(20, relax=1.9)
            state.balance()
            now, z = Blocks(*state.nonzero()), y - state.r
            if (objective := now.objective(X, y, beta)) < least:
                best, least = now, objective
            yield best, z
        u = (all_e[:, None] * all_D * z) @ X  # a guess for each chamber, perhaps in the next one
        u /= np.linalg.norm(u, axis=1, keepdims=True) + 1e-300
        value, seen = all_e * (np.maximum(u @ X.T, 0) @ z), u @ X.T > 0
        kept = np.flatnonzero(state.v.any(axis=1) | (len(state.e) <= 4 * n))
        have = np.column_stack([state.D, state.e > 0])[kept]
        for exact in (False, True)[: 1 + (least > 0.99 * before)]:
            if exact:  # the guesses add nothing, and the steps gain little
                value, seen = np.concatenate(reach(X, D, z, beta)), all_D
            likely = [i for i in np.argsort(-value)[: 4 * n] if value[i] > beta]
            likely = [i for i in likely if seen[i].tobytes() in known]
            both = np.concatenate([have, np.column_stack([seen, all_e > 0])[likely]])
            first = np.unique(both, axis=0, return_index=True)[1]
            if len(new := both[np.sort(first[first >= len(have)])[:n]]):
                break
        before = least
        state.only(kept, new[:, :-1], np.where(new[:, -1], 1.0, -1.0))


def reach(X: Floats, D: Masks, z: Floats, beta: float) -> tuple[Floats, Floats]:
    """Return max zᵀ(X u)_+ over the unit vectors u of each chamber (P,), and that of -z.

    On a chamber it is linear in u, with the slope c = D_i Xᵀz, so its maximum is the length of c
    projected onto the chamber: a small non-negative least squares. Zero stands for at most beta.
    """
    c, G = (D * z) @ X, (2.0 * D - 1)[:, :, None] * X
    up, down = np.zeros(len(D)), np.zeros(len(D))
    for i in np.flatnonzero(np.linalg.norm(c, axis=1) > beta):
        up[i], down[i] = nnls(G[i].T, -c[i])[1], nnls(G[i].T, c[i])[1]
    return up, down


def lower_bound(X: Floats, y: Floats, D: Masks, beta: float, z: Floats) -> float:
    """Return a number that no network's objective is below, whatever its width, from all patterns.

    The dual is max ½‖y‖² - ½‖z - y‖² where |zᵀ(X u)_+| <= β for all ‖u‖ <= 1: any residual ``z``
    (n,) is feasible once made smaller by what it violates.
    """
    limit = beta / max(beta, float(np.max(reach(X, D, z, beta))))
    z = z * np.clip(z @ y / max(float(z @ z), 1e-300), -limit, limit)
    return float(0.5 * (y @ y - np.square(z - y).sum()))


def solve(X: Floats, y: Floats, D: Masks, beta: float, *, gap: float) -> tuple[Blocks, float]:
    """Return a network and a lower bound, apart by at most the share ``gap`` of the objective.

    ``D`` (P, n) are all patterns: of fewer it is their own optimum, and the bound is none.
    A TrainingError says that 20,000 steps of ADMM do not get there.
    """
    bound = -np.inf
    for found, z in islice(improving(X, y, D, beta), 4, 1000, 5):
        bound = max(bound, lower_bound(X, y, D, beta, z))
        if (objective := found.objective(X, y, beta)) - bound <= gap * objective:
            return found, bound
    raise TrainingError(f"the gap is not {gap:g} after 20,000 steps: allow a larger one.")


def sampled_convex_program(X: Floats, y: Floats, u: Floats, beta: float) -> Blocks:
    """Return the best network whose neurons have the given directions (N, d): a lasso."""
    from sklearn.linear_model import Lasso

    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    lasso = Lasso(alpha=beta / len(y), fit_intercept=False, tol=1e-6, max_iter=100_000)
    alpha = lasso.fit(np.maximum(X @ u.T, 0), y).coef_
    return Blocks(np.abs(alpha)[:, None] * u, np.sign(alpha))


def corners(x: Floats, eps: float) -> Floats:
    """Return the corners of the boxes of half-width ``eps`` around inputs, shape (n, 2^k, k)."""
    if not eps > 0:
        raise ConfigError(f"eps={eps}: give half the boxes' width, above zero.")
    return x[:, None] + eps * np.array(list(product((-1.0, 1.0), repeat=x.shape[1])))


def robust_patterns(x: Floats, eps: float) -> Masks:
    """Return all patterns that are constant on the boxes around inputs (n, k): (P, n 2^k).

    They are among the patterns of the corners, which stand box after box.
    """
    boxes = corners(x, eps)
    found = patterns(with_ones(boxes.reshape(-1, x.shape[1])))
    each = found.reshape(len(found), *boxes.shape[:2])
    constant: Masks = found[(each == each[:, :, :1]).all(axis=(1, 2))]
    return constant


def robust(x: Floats, labels: Floats, eps: float, beta: float, *, steps: int) -> Blocks:
    """Return the network of the robust convex program: the worst hinge loss over each box.

    The mean of max (1 - y f)_+ over boxes of inputs (n, k) with labels -1 and 1, plus β Σ ‖v_i‖.
    Where a block keeps its pattern on a box, the paper's x·v - ε‖v‖₁ is that of the worst corner.
    """
    if set(np.unique(labels)) - {-1.0, 1.0} or labels.shape != x.shape[:1]:
        raise ConfigError(f"labels {labels.shape}: give one for each input, -1 or 1.")
    X = with_ones(corners(x, eps).reshape(-1, x.shape[1]))
    sides = np.repeat(labels, 2 ** x.shape[1])
    state = _start(X, sides, robust_patterns(x, eps), beta, rho=0.01)
    state.prox = partial(_worst_hinge_prox, sides.reshape(len(x), -1))
    for _ in range(steps // 20):
        state.steps(20, relax=1.7)
        state.balance()
    return Blocks(*state.nonzero(inside=True))


def _worst_hinge_prox(sides: Floats, r: Floats, rho: float) -> Floats:
    """Return the proximal map of the mean over boxes (n, corners) of max (1 - y r)_+."""
    margin = (1 - sides * r.reshape(sides.shape)) * len(sides) * rho
    # By Moreau: less the projection onto {p >= 0, Σ p <= 1}, the dual of max(0, ·).
    falling = -np.sort(-margin, axis=1)
    threshold = (np.cumsum(falling, axis=1) - 1) / np.arange(1, 1 + falling.shape[1])
    p = np.maximum(margin - np.maximum(threshold.max(axis=1, keepdims=True), 0), 0)
    return np.ravel(sides * (1 - (margin - p) / (len(sides) * rho)))


def worst_hinge(network: ReLUNetwork, x: Floats, labels: Floats, eps: float) -> Floats:
    """Return the largest hinge loss in the box around each input of the plane (n,), exactly.

    A score is linear on each linear region, so it is least at a corner of one.
    """
    worst = []
    for (a, b), label in zip(x, labels, strict=True):
        regions = linear_regions(network, ((a - eps, a + eps), (b - eps, b + eps)))
        scores = network(np.concatenate(regions.polygons)) @ [1, -1]
        worst.append(max(0.0, float((1 - label * scores).max())))
    return np.array(worst)
