"""ADMM on blocks: a sum of lengths of vectors, each in its chamber, and a loss of their outputs.

It looks for the least of loss(F u) + β Σ ‖u_i‖ over blocks with G u = (2 D_i - I) X u_i >= 0, where
F u = Σ e_i D_i X u_i: a group lasso with cones. Three copies are split off, u = v for the lengths,
G u = s for the chambers and F u = r for the loss [1]_, so that a step is linear algebra and three
small proximal maps, and one Cholesky factor of a matrix (n, n) serves all steps at any ρ.

References
----------
.. [1] S. Boyd, N. Parikh, E. Chu, B. Peleato and J. Eckstein, "Distributed optimization and
   statistical learning via the alternating direction method of multipliers", 2011.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import nnls

from localbook.arrays import Floats, Indices, Masks

Prox = Callable[[Floats, float], Floats]


@dataclass(eq=False)
class Splitting:
    """Where ADMM is: begun at zero, changed by its methods.

    Attributes
    ----------
    X : float array, shape (n, d)
        Samples.
    D : bool array, shape (m, n)
        The chamber of each block: which samples are on the positive side.
    e : float array, shape (m,)
        The sign with which each block counts.
    prox : function
        From outputs (n,) and ρ to the r (n,) with the least loss(r) + ρ/2 ‖r - outputs‖².
    beta, rho : float
        The price of length, and the penalty of the splitting.
    v, s, r : float arrays, shapes (m, d), (m, n) and (n,)
        The three copies; v is sparse, and at first not in its chambers.
    """

    X: Floats
    D: Masks
    e: Floats
    prox: Prox
    beta: float
    rho: float
    v: Floats = field(init=False)
    s: Floats = field(init=False)
    r: Floats = field(init=False)
    duals: list[Floats] = field(init=False)

    def __post_init__(self) -> None:
        self.v, self.s = np.zeros((len(self.D), self.X.shape[1])), np.zeros(self.D.shape)
        self.r = np.zeros(len(self.X))
        self.duals = [self.v, self.s, self.r]  # scaled by 1/ρ
        self._factor()

    def _factor(self) -> None:
        # (2D - I)² = I, so I + GᵀG is the same block I + XᵀX for all: with Woodbury's identity
        # only a matrix (n, n) has to be factored, and a step is linear in the number of blocks.
        self.signs, self.signed = 2.0 * self.D - 1, self.e[:, None] * self.D
        self.inverse = np.linalg.inv(np.eye(self.X.shape[1]) + self.X.T @ self.X)
        inner = (self.X @ self.inverse @ self.X.T) * (self.signed.T @ self.signed)
        self.cholesky = cho_factor(np.eye(len(self.X)) + inner)

    def _sums(self, u: Floats) -> Floats:
        """Return F u (n,), the outputs if every block is in its chamber."""
        out: Floats = np.einsum("nd,nd->n", self.signed.T @ u, self.X)
        return out

    def steps(self, count: int, relax: float = 1.0) -> None:
        """Take some steps, with over-relaxation by a factor of up to 2; 1 is plain ADMM."""
        (a, b, c), limit = self.duals, self.beta / self.rho
        for _ in range(count):
            right = self.v - a + (self.signs * (self.s - b) + self.signed * (self.r - c)) @ self.X
            right = right @ self.inverse
            inner = cho_solve(self.cholesky, self._sums(right), check_finite=False)
            u = right - (self.signed * inner) @ self.X @ self.inverse
            old = self.v, self.s, self.r
            new = u, self.signs * (u @ self.X.T), self._sums(u)
            z, side, out = (
                relax * x + (1 - relax) * was + dual
                for x, was, dual in zip(new, old, (a, b, c), strict=True)
            )
            length = np.sqrt(np.einsum("md,md->m", z, z))
            self.v = z * (1 - limit / np.maximum(length, limit))[:, None]
            self.s, self.r = np.maximum(side, 0), self.prox(out, self.rho)
            a, b, c = z - self.v, side - self.s, out - self.r
        self.duals = [a, b, c]
        now = self.v, self.s, self.r
        self.primal = _apart(new, now) / _apart(now)
        self.dual = _apart(now, old) / _apart(self.duals)

    def balance(self) -> None:
        """Change ρ so that both residuals fall alike (Boyd et al. 2011, section 3.4.1)."""
        change = float(np.clip(np.sqrt(self.primal / self.dual), 0.2, 5))
        if not 1 / 1.5 < change < 1.5:
            self.rho *= change
            self.duals = [dual / change for dual in self.duals]

    def only(self, kept: Indices, D: Masks, e: Floats) -> None:
        """Keep some blocks, and begin others at zero."""
        a, b, c = self.duals
        self.v, a = (np.pad(x[kept], ((0, len(D)), (0, 0))) for x in (self.v, a))
        self.s, b = (np.pad(x[kept], ((0, len(D)), (0, 0))) for x in (self.s, b))
        self.D, self.e = np.concatenate([self.D[kept], D]), np.append(self.e[kept], e)
        self.duals = [a, b, c]
        self._factor()

    def nonzero(self, *, inside: bool = False) -> tuple[Floats, Floats]:
        """Return the blocks that are not zero (k, d), and their signs (k,).

        With ``inside``, each is moved to the nearest point of its chamber.
        """
        on = self.v.any(axis=1)
        v = self.v[on]
        if inside:
            for G, u in zip(self.signs[on][:, :, None] * self.X, v, strict=True):
                u += nnls(G.T, -u)[0] @ G
        return v, self.e[on]


def _apart(one: Sequence[Floats], other: Sequence[Floats] | None = None) -> float:
    pairs = zip(one, other or [0.0 * x for x in one], strict=True)
    return float(np.sqrt(sum(np.square(x - y).sum() for x, y in pairs))) + 1e-12
