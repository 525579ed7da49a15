"""Layers between functions whose linear operators are multigrid cycles (he2024mgno).

A layer is u <- σ(W u + K u). W takes m functions to c functions by one V-cycle, whose parts are
3 x 3 convolutions without biases: smoothing u <- u + S (f - A u), restriction R, prolongation P.
All of it is linear in f. Symbols are the paper's. The grids are ours: a point of a coarse grid is
one of the fine grid under every boundary condition, so that a cycle can be the classical one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import fft, sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor, nn
from torch.nn import functional as F

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.fit import seeded

Steps = Sequence[tuple[int, int]]
# What convolutions see beyond the grid, and the points a side beyond a multiple of 2^(levels - 1):
# the points are the inner ones, or have the boundary among them; h = 1 / (n - extra).
BOUNDARIES = {"dirichlet": ("zeros", -1), "neumann": ("reflect", 1), "periodic": ("circular", 0)}


class Cycle(nn.Module):
    """A linear operator from m functions (N, m, n, n) to c functions (N, c, n, n): one V-cycle.

    Parameters
    ----------
    m, c : int
    steps : sequence of (int, int)
        Smoothing steps of every level before and after its correction, the finest level first; the
        coarsest one has none after.
    boundary : {"dirichlet", "neumann", "periodic"}
    residual : bool
        Whether R(f - A u) goes down, to a start from zero, as in the classical cycle; or else R f,
        to a start from Π u, as in the authors' code.
    padding : str, optional
        Of smoothing; that of the boundary condition by default.

    Raises
    ------
    ConfigError
        If the boundary is unknown, or a level has no step before.
    """

    def __init__(
        self,
        m: int,
        c: int,
        steps: Steps,
        *,
        boundary: str = "dirichlet",
        residual: bool = True,
        padding: str | None = None,
    ) -> None:
        super().__init__()
        if boundary not in BOUNDARIES or not steps or min(before for before, _ in steps) < 1:
            raise ConfigError(
                f"boundary={boundary!r}, steps={steps}: choose one of {', '.join(BOUNDARIES)}, "
                "and give every level one step or more before its correction."
            )
        self.steps, self.residual, self.boundary = steps, residual, boundary
        mode, self.extra = BOUNDARIES[boundary]
        conv = partial(nn.Conv2d, kernel_size=3, bias=False)
        smooth = partial(conv, padding=1, padding_mode=padding or mode)
        down = partial(conv, stride=2, padding=int(mode != "zeros"), padding_mode=mode)
        up = partial(nn.ConvTranspose2d, kernel_size=3, stride=2, bias=False)
        self.S, self.A, self.R, self.P, self.Pi = (nn.ModuleList() for _ in range(5))
        for level, (before, after) in enumerate(steps):
            last, from_zero = level == len(steps) - 1, residual or level == 0
            count = before if last else before + after
            self.S.append(nn.ModuleList(smooth(m, c) for _ in range(count)))
            count += (residual and not last) - from_zero
            self.A.append(nn.ModuleList(smooth(c, m) for _ in range(count)))
            if not last:
                self.R.append(down(m, m))
                self.P.append(up(c, c, padding=int(mode != "zeros")))
                self.Pi.append(nn.Identity() if residual else down(c, c))

    def forward(self, f: Tensor) -> Tensor:
        """Return W f."""
        n, factor = f.shape[-1], 2 ** (len(self.steps) - 1)
        sides = n - self.extra
        if f.shape[-2] != n or sides % factor or sides < factor * (1 - min(self.extra, 0)):
            raise ConfigError(
                f"a grid of {f.shape[-2]} x {n} points: for {len(self.steps)} levels, "
                f"{self.boundary}, give a square of k · {factor} {self.extra:+} points a side."
            )
        return self._solved(0, f, None)

    def _solved(self, level: int, f: Tensor, u: Tensor | None) -> Tensor:
        S, A = self.S[level].children(), self.A[level].children()
        before, after = self.steps[level]
        for _ in range(before):
            u = next(S)(f) if u is None else u + next(S)(f - next(A)(u))
        assert u is not None
        if level == len(self.steps) - 1:
            return u
        R, Pi = self.R[level], self.Pi[level]
        start = (R(f - next(A)(u)), None) if self.residual else (R(f), Pi(u))
        u = u + self._prolonged(level, self._solved(level + 1, *start))
        for _ in range(after):
            u = u + next(S)(f - next(A)(u))
        return u

    def _prolonged(self, level: int, u: Tensor) -> Tensor:
        around = self.boundary == "periodic"
        fine: Tensor = self.P[level](F.pad(u, (0, 1, 0, 1), mode="circular") if around else u)
        return fine[..., :-1, :-1] if around else fine


@torch.no_grad()
def classical(steps: Steps, boundary: str = "dirichlet") -> Cycle:
    """Return the classical V-cycle for :func:`five_point` as a ``Cycle`` of one function, float64.

    S is Jacobi's step, damped by 4/5, and R full weighting, times four as A leaves out 1/h².
    """
    cycle = Cycle(1, 1, steps, boundary=boundary).double()
    bilinear = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    centre = F.pad(torch.ones(1, 1), (1, 1, 1, 1))
    stencil = 5 * centre - torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]])
    parts = {cycle.S: centre / 5, cycle.A: stencil, cycle.R: bilinear, cycle.P: bilinear}
    for part, weights in parts.items():
        for weight in part.parameters():
            weight[:] = weights
    return cycle


class Layer(nn.Module):
    """σ(W u + K u): from m functions to c, where K (with bias) acts at each point by itself."""

    def __init__(
        self, m: int, c: int, steps: Steps, *, activation: Any = nn.GELU, **how: Any
    ) -> None:
        super().__init__()
        self.W = Cycle(m, c, steps, **how)
        self.K, self.activation = nn.Conv2d(m, c, 1), activation()

    def forward(self, u: Tensor) -> Tensor:
        """Return the layer's functions (N, c, n, n)."""
        out: Tensor = self.activation(self.W(u) + self.K(u))
        return out


def network(c: int, layers: int, steps: Steps, seed: int, **how: Any) -> nn.Sequential:
    """Return MgNO from one function to one: layers of c, and a last combination of them.

    ``how`` are keywords of :class:`Layer` and :class:`Cycle`. Weights are drawn as torch does, and
    lie channels last, with which a step on a processor takes two thirds of the time.
    """
    with seeded(seed):
        chain = [Layer(c if k else 1, c, steps, **how) for k in range(layers)]
        last = nn.Conv2d(c, 1, 1, bias=False)
        return nn.Sequential(*chain, last).to(memory_format=torch.channels_last)


def relative(out: Tensor, u: Tensor) -> Tensor:
    """Return the mean of ‖out - u‖ / ‖u‖ over functions (N, L, n, n); u may have one for all L."""
    ratios: Tensor = (out - u).flatten(2).norm(dim=2) / u.flatten(2).norm(dim=2)
    return ratios.mean()


def five_point(u: Tensor, boundary: str = "dirichlet") -> Tensor:
    """Return -h² Δu of functions (N, C, n, n) by the stencil of five points."""
    mode = BOUNDARIES[boundary][0].replace("zeros", "constant")
    v = F.pad(u, (1, 1, 1, 1), mode=mode)
    sides = v[..., :-2, 1:-1] + v[..., 2:, 1:-1] + v[..., 1:-1, :-2] + v[..., 1:-1, 2:]
    return 4 * u - sides


@torch.no_grad()
def errors(
    W: Callable[[Tensor], Tensor], n: int, boundary: str = "dirichlet", *, cycles: int
) -> Floats:
    """Return ‖e_k‖ / ‖e_0‖ (cycles + 1,), where e <- e - W A e from noise; A is the stencil's."""
    e = torch.tensor(np.random.default_rng(0).normal(size=(1, 1, n, n)))
    sizes = []
    for cycle in range(cycles + 1):
        if cycle:
            e = e - W(five_point(e, boundary))
        if boundary != "dirichlet":  # A does not see constants
            e = e - e.mean()
        sizes.append(e.norm().item())
    ratios: Floats = np.array(sizes) / sizes[0]
    return ratios


def _filtered(x: Floats, boundary: str, gain: Callable[[Floats, Floats], Floats]) -> Floats:
    """Multiply eigenfunctions of -Δ_h in x (N, n, n) by gain(|k|, eigenvalue), constants by 0."""
    n = x.shape[-1]
    sides = n - BOUNDARIES[boundary][1]  # 1/h
    around = 2 * np.abs(fft.fftfreq(n, 1 / n))
    k = {"dirichlet": np.arange(n) + 1, "neumann": np.arange(n), "periodic": around}[boundary]
    value = 4 * sides**2 * np.sin(np.pi * k / (2 * sides)) ** 2
    k, value = np.hypot(k[:, None], k), value[:, None] + value
    value[k == 0] = k[k == 0] = np.inf
    weight = np.where(np.isinf(k), 0.0, gain(k, value))
    if boundary == "periodic":
        return np.real(fft.ifft2(weight * fft.fft2(x)))
    there, back = (fft.dstn, fft.idstn) if boundary == "dirichlet" else (fft.dctn, fft.idctn)
    out: Floats = back(weight * there(x, type=1, axes=(1, 2)), type=1, axes=(1, 2))
    return out


def sources(noise: Floats, boundary: str = "dirichlet", *, decay: float) -> Floats:
    """Turn noise (N, n, n) into f of mean square one whose coefficients fall like |k|^-decay."""
    f = _filtered(noise, boundary, lambda k, _: k**-decay)
    f /= np.sqrt(np.square(f).mean())
    return f


def poisson(f: Floats, boundary: str = "dirichlet") -> Floats:
    """Solve -Δ_h u = λ_1 f for f (N, n, n) without a constant; λ_1 is the least eigenvalue."""
    return _filtered(f, boundary, lambda _, value: value.min() / value)


def coefficients(noise: Floats) -> Floats:
    """Turn noise into fields a (N, n + 2, n + 2) of 3 and 12, on a grid with its boundary.

    It is 12 where a Gaussian field of covariance (-Δ + 9)^-2 is positive.
    """
    field = _filtered(noise, "neumann", lambda k, _: 1 / (np.pi**2 * k**2 + 9))
    return np.where(field > 0, 12.0, 3.0)


def darcy(a: Floats) -> Floats:
    """Solve -div(a grad u) = 1 with u = 0 on the boundary: a (n + 2, n + 2), u (n, n) inside.

    Finite volumes of five points, with harmonic means of a between points.
    """
    n = len(a) - 2
    if a.shape != (n + 2, n + 2) or n < 2 or not (np.isfinite(a).all() and a.min() > 0):
        raise ConfigError(f"a {a.shape}: give a square of positive numbers, 4 x 4 or more.")
    p, q = a[1:-1], a[:, 1:-1]
    across = 2 * p[:, 1:] * p[:, :-1] / (p[:, 1:] + p[:, :-1])  # (n, n + 1)
    down = 2 * q[1:] * q[:-1] / (q[1:] + q[:-1])  # (n + 1, n)
    beside, below = across[:, 1:].copy(), down[1:]
    beside[:, -1] = 0  # a row's last point has no neighbour in the next row
    diagonal = across[:, 1:] + across[:, :-1] + down[1:] + down[:-1]
    bands = (diagonal.ravel(), -beside.ravel()[:-1], -below.ravel()[:-n])
    upper = sparse.diags(bands[1:], [1, n], shape=(n * n, n * n))
    A = sparse.diags(bands[0]) + upper + upper.T
    u: Floats = spsolve(A.tocsc(), np.full(n * n, (n + 1.0) ** -2)).reshape(n, n)
    return u
