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
    before: list[Floats] = field(init=False)

    def __post_init__(self) -> None:
        self.v, self.s = np.zeros((len(self.D), self.X.shape[1])), np.zeros(self.D.shape)
        self.r = np.zeros(len(self.X))
        # What the proximal maps were applied to: these less the copies are the duals, over ρ.
        self.before = [x.copy() for x in self._copies()]
        self._factor()

    def _copies(self) -> list[Floats]:
        return [self.v, self.s, self.r]

    def _factor(self) -> None:
        # (2D - I)² = I, so I + GᵀG is the same block I + XᵀX for all: with Woodbury's identity
        # only a matrix (n, n) is inverted (it is I and more), and a step is linear in the blocks.
        self.signed = self.e[:, None] * self.D
        self.inverse = np.linalg.inv(np.eye(self.X.shape[1]) + self.X.T @ self.X)
        self.ahead = self.X @ self.inverse
        inner = (self.ahead @ self.X.T) * (self.signed.T @ self.signed)
        self.inner = np.linalg.inv(np.eye(len(self.X)) + inner)

    def _sums(self, u: Floats) -> Floats:
        """Return F u (n,), the outputs if every block is in its chamber."""
        out: Floats = np.einsum("nd,nd->n", self.signed.T @ u, self.X)
        return out

    def steps(self, count: int, relax: float = 1.0) -> None:
        """Take some steps, with over-relaxation by a factor of up to 2; 1 is plain ADMM."""
        (zv, zs, zr), limit = self.before, self.beta / self.rho
        wide, other = np.empty_like(zs), np.empty_like(zs)  # in place: memory is what a step costs
        for left in range(count)[::-1]:
            np.subtract(np.multiply(self.s, 2, out=wide), zs, out=wide)
            wide += np.multiply(self.signed, 2 * self.r - zr, out=other)
            right = (2 * self.v - zv) @ self.inverse + wide @ self.ahead
            np.multiply(self.signed, self.inner @ self._sums(right), out=other)
            u = right - other @ self.ahead
            new = [u, np.matmul(u, self.X.T, out=wide), self._sums(u)]
            old = self._copies()
            if not left:
                last = [x.copy() for x in new]
            for z, x, was in zip(self.before, new, old, strict=True):
                x -= was
                x *= relax
                z += x
            length = np.sqrt(np.einsum("md,md->m", zv, zv))
            self.v = zv * (1 - limit / np.maximum(length, limit))[:, None]
            self.s = zs * ((zs > 0) == self.D)
            self.r = self.prox(zr, self.rho)
        now = self._copies()
        self.primal = _apart(last, now) / _apart(now)
        self.dual = _apart(now, old) / _apart(self.before, now)

    def balance(self) -> None:
        """Change ρ so that both residuals fall alike (Boyd et al. 2011, section 3.4.1)."""
        change = float(np.clip(np.sqrt(self.primal / self.dual), 0.2, 5))
        if not 1 / 1.5 < change < 1.5:
            self.rho *= change
            for z, x in zip(self.before, self._copies(), strict=True):
                z += (1 / change - 1) * (z - x)

    def only(self, kept: Indices, D: Masks, e: Floats) -> None:
        """Keep some blocks, and begin others at zero."""
        wide = [np.pad(x[kept], ((0, len(D)), (0, 0))) for x in (*self.before[:2], self.v, self.s)]
        self.before[:2], self.v, self.s = wide[:2], wide[2], wide[3]
        self.D, self.e = np.concatenate([self.D[kept], D]), np.append(self.e[kept], e)
        self._factor()

    def nonzero(self, *, inside: bool = False) -> tuple[Floats, Floats]:
        """Return the blocks that are not zero (k, d), and their signs (k,).

        With ``inside``, each is moved to the nearest point of its chamber.
        """
        on = self.v.any(axis=1)
        v = self.v[on]
        if inside:
            for G, u in zip((2.0 * self.D[on] - 1)[:, :, None] * self.X, v, strict=True):
                u += nnls(G.T, -u)[0] @ G
        return v, self.e[on]


def _apart(one: Sequence[Floats], other: Sequence[Floats] | None = None) -> float:
    pairs = zip(one, other or [0.0 * x for x in one], strict=True)
    return float(np.sqrt(sum(np.square(x - y).sum() for x, y in pairs))) + 1e-12
