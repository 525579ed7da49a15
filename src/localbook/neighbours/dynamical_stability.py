"""Where SGD comes to rest, tr H <= 2/η; for full batches only λ_max <= 2/η (wu2023implicit).

At a minimum θ* with f(x_i; θ*) = y_i for all i, the Hessian of (1/2n) Σ (f(x_i) - y_i)² is the
mean of g_i g_iᵀ with g_i = ∇f(x_i; θ*), and a small deviation δ changes by δ ← (I - ηĤ) δ, where Ĥ
is the same mean over the batch. Stable means that E δδᵀ stays bounded. The bound for every batch
size, the exact threshold, and what is said of modules that learn by themselves are ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from localbook.arrays import Floats
from localbook.errors import ConfigError

__all__ = ["Chain", "Diagonal", "Minimum", "train"]


class Minimum:
    """The Hessian H = (1/n) Σ g_i g_iᵀ of a minimum that fits every sample.

    Parameters
    ----------
    gradients : array_like, shape (n, p)
        The g_i, of the outputs and not of the loss.

    Attributes
    ----------
    eigenvalues : ndarray (r,)
        Of H, rising, those that are not zero.
    trace, top : float
        Their sum, and the largest of them, λ_max.

    Raises
    ------
    ConfigError
        If the gradients are no finite table, or all zero.

    Examples
    --------
    >>> corner = Minimum(np.eye(3))  # orthogonal gradients of equal length
    >>> corner.trace, corner.bound(batch=1), round(corner.largest_step(batch=1), 9)
    (1.0, 2.0, 2.0)
    """

    def __init__(self, gradients: ArrayLike) -> None:
        g = np.asarray(gradients, dtype=float)
        if g.ndim != 2 or not np.isfinite(g).all() or not g.any():
            raise ConfigError(f"gradients {g.shape}: give finite numbers (n, p), not all zero.")
        self._lengths = np.square(g).sum(axis=1)
        values, vectors = np.linalg.eigh(g @ g.T / len(g))
        kept = values > 1e-12 * values[-1]
        self.eigenvalues: Floats = values[kept]
        self._u = np.sqrt(len(g) * values[kept]) * vectors[:, kept]  # the g_i in H's axes (n, r)
        self.trace, self.top = float(self._lengths.mean()), float(values[-1])

    def bound(self, batch: float) -> float:
        """Return a step size that no stable one exceeds: 2 tr H / E‖Ĥ‖_F².

        E‖Ĥ‖_F² = E‖g‖⁴ / B + (1 - 1/B) ‖H‖_F² for batches of B = ``batch`` samples, drawn with
        replacement; ``np.inf`` is the full batch. It is at most 2B / tr H.
        """
        _check(batch)
        fourth, square = np.square(self._lengths).mean(), np.square(self.eigenvalues).sum()
        return float(2 * self.trace / (fourth / batch + (1 - 1 / batch) * square))

    def largest_step(self, batch: float) -> float:
        """Return the largest stable step size, exactly: its work grows as n² r².

        One step maps the second moment M to T(M) = E (I - ηĤ) M (I - ηĤ). T is self-adjoint and
        keeps the positive semidefinite cone, so its spectral radius is its largest eigenvalue, and
        it is at most 1 if and only if D - (η/B) Q is positive, where Q(M) = E ggᵀ M ggᵀ has rank n
        and D is diagonal in H's axes, with entries λ_k + λ_l - η (1 - 1/B) λ_k λ_l.
        """
        _check(batch)
        u, n, of = self._u, len(self._u), self.eigenvalues

        def excess(eta: float) -> float:
            D = of[:, None] + of - eta * (1 - 1 / batch) * np.outer(of, of)
            N = np.stack([np.einsum("nk,nk->n", (u * row) @ (1 / D), u * row) for row in u])
            return float(eta / batch * np.linalg.eigvalsh(N)[-1] / n - 1)

        if batch == 1:
            return 1 / (excess(1.0) + 1)
        most = 2 / (1 - 1 / batch) / self.top
        if np.isinf(batch):
            return most
        return float(most * brentq(lambda part: excess(part * most), 0.0, 1 - 1e-9, xtol=1e-14))


def _check(batch: float) -> None:
    if not batch >= 1:
        raise ConfigError(f"batch={batch}: give at least 1, or np.inf for all samples.")


@dataclass(eq=False)
class Diagonal:
    """Diagonal linear networks f(x) = Σ_j a_j b_j x_j with a, b (R, d), for R step sizes."""

    a: Floats
    b: Floats

    def outputs(self, x: Floats) -> list[Floats]:
        """Return f (R, N) at samples (N, d), in a list of one."""
        return [(self.a * self.b) @ x.T]

    def step(self, x: Floats, y: Floats, eta: Floats) -> None:
        """Take one step on ½ (f - y)², averaged over samples (B, d), with the rates η (R, 1)."""
        pull = eta / len(x) * ((self.outputs(x)[0] - y) @ x)
        self.a, self.b = self.a - pull * self.b, self.b - pull * self.a

    def gradients(self, x: Floats, k: int) -> list[Floats]:
        """Return ∇f (N, 2d) of network k, in a list of one."""
        return [np.hstack([x * self.b[k], x * self.a[k]])]

    def norms(self, k: int) -> tuple[float, float]:
        """Return Σ|a_j b_j|, and ½ Σ (a_j² + b_j²), which is at least as large."""
        a, b = self.a[k], self.b[k]
        return float(np.abs(a * b).sum()), float((a @ a + b @ b) / 2)


@dataclass(eq=False)
class Chain:
    """Modules h_l = max(W_l h_{l-1}, 0) with linear heads f_l = a_l · h_l, for R step sizes.

    Attributes
    ----------
    w : list of ndarray (R, m_l, m_{l-1})
        One module is a two-layer ReLU network.
    a : list of ndarray (R, m_l)
    local : bool
        Whether each module learns by its own head's loss alone, of which nothing flows back to
        those before. Otherwise the last head's loss trains all of them, and the other heads rest.
    """

    w: list[Floats]
    a: list[Floats]
    local: bool = True

    def _judged(self, i: int) -> bool:
        return self.local or i == len(self.w) - 1

    def _layers(self, x: Floats) -> list[Floats]:
        h = [x.T[None]]
        for w in self.w:
            h.append(np.maximum(w @ h[-1], 0))  # (R, m, N)
        return h

    def _back(self, h: list[Floats], r: Sequence[Floats]) -> Iterator[tuple[int, Floats]]:
        """Yield each module that learns, last first, with what reaches it (R, m, N) from r."""
        from_above = np.zeros(1)
        for i in reversed(range(len(self.w))):
            own = self.a[i][:, :, None] * r[i][:, None] if self._judged(i) else 0.0
            s = (from_above + own) * (h[i + 1] > 0)
            if not self.local:
                from_above = self.w[i].transpose(0, 2, 1) @ s
            yield i, s

    def outputs(self, x: Floats) -> list[Floats]:
        """Return f_l (R, N) at samples (N, d) of each head whose loss is minimised."""
        found = [(a[:, None] @ h)[:, 0] for a, h in zip(self.a, self._layers(x)[1:], strict=True)]
        return found if self.local else found[-1:]

    def step(self, x: Floats, y: Floats, eta: Floats) -> None:
        """Take one step on ½ (f_l - y)², averaged over samples (B, d), with the rates η (R, 1)."""
        h = self._layers(x)
        r = [(a[:, None] @ z)[:, 0] - y for a, z in zip(self.a, h[1:], strict=True)]
        for i, s in self._back(h, r):
            self.w[i] = self.w[i] - (eta / len(x))[:, :, None] * (s @ h[i].transpose(0, 2, 1))
            if self._judged(i):
                self.a[i] = self.a[i] - eta / len(x) * (h[i + 1] @ r[i][:, :, None])[:, :, 0]

    def gradients(self, x: Floats, k: int) -> list[Floats]:
        """Return ∇f (N, p_l) by each module of network k: of its own f_l if local, or the last."""
        one = Chain([w[k : k + 1] for w in self.w], [a[k : k + 1] for a in self.a], self.local)
        h, found = one._layers(x), [np.zeros((len(x), 0))] * len(self.w)
        for i, s in one._back(h, [np.ones((1, len(x)))] * len(self.w)):
            by_w = (s[0].T[:, :, None] * h[i][0].T[:, None]).reshape(len(x), -1)  # (N, m · m_in)
            found[i] = np.hstack([by_w, h[i + 1][0].T]) if self._judged(i) else by_w
        return found

    def norms(self, k: int) -> tuple[float, float]:
        """Return √d Σ|a_j| ‖w_j‖ of the first module, and ½ Σ (‖w_j‖² + d a_j²), no smaller.

        √d times the path norm; and a two-layer network's mean tr H on the sphere of radius √d.
        """
        a, w = self.a[0][k], self.w[0][k]
        d, lengths = w.shape[1], np.linalg.norm(w, axis=1)
        return float(np.sqrt(d) * np.abs(a) @ lengths), float((lengths @ lengths + d * a @ a) / 2)


def train(
    net: Diagonal | Chain,
    x: Floats,
    y: Floats,
    rates: Sequence[float],
    *,
    batch: float,
    steps: int,
    seed: int,
    noise: float = 0.0,
    looks: int = 1,
) -> Iterator[tuple[int, Floats]]:
    """Train networks in place by SGD with their own rates, on the same batches (with replacement).

    During the first quarter of the steps the rates rise from zero, since from a usual start the
    last ones diverge; then they stay. Nothing is clipped.

    Parameters
    ----------
    net
        R networks; one that diverges becomes NaN and leaves the others alone.
    x, y : ndarray (n, d) and (n,)
    rates : sequence of R floats
    batch : float
        ``np.inf`` is gradient descent on all samples.
    steps, seed, looks : int
        It yields ``looks`` times, at equal distances, the last time at the end.
    noise : float
        The standard deviation of what is added to the labels, drawn anew at every step.

    Yields
    ------
    int, ndarray (R,)
        How many steps were taken, and the rates of the last one.

    Raises
    ------
    ConfigError
        If a number makes no sense.
    """
    _check(batch)
    if not len(x) or len(x) != len(y) or steps < looks or looks < 1 or not min(rates) > 0:
        raise ConfigError(
            f"{len(x)} samples, {len(y)} labels, {steps} steps, {looks} looks, rates {rates}: give "
            "a label for each sample, rates above zero, and at least a step for each look."
        )
    rng, full = np.random.default_rng([seed, 1]), np.asarray(rates, dtype=float)[:, None]
    seen = {steps * (i + 1) // looks for i in range(looks)}
    for t in range(1, steps + 1):
        some = slice(None) if np.isinf(batch) else rng.integers(len(x), size=int(batch))
        eta = full * min(1.0, 4 * t / steps)
        labels = y[some] + (noise * rng.normal(size=len(y[some])) if noise else 0)
        with np.errstate(over="ignore", invalid="ignore"):
            net.step(x[some], labels, eta)
        if t in seen:
            yield t, eta[:, 0]
