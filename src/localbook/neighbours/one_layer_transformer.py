"""One layer of attention and a ReLU network approximate every continuous map (gumaan2025universal).

A sequence is n numbers x_t of [0, 1], and f makes n numbers of it. We could not read the paper's
proof: construction, bounds and floors are ours. Attention by position gives every token M x with
an invertible M; there the ReLU network is a sum of ridge functions cos(π k·x), each interpolated.
So the layer is a ReLU network of the whole sequence, and has linear regions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.fft import dctn
from torch import Tensor, nn

from localbook.arrays import Floats, Indices
from localbook.errors import ConfigError
from localbook.tropical import ReLUNetwork

Sequences = Callable[[Floats], Floats]
"""A map of sequences (N, n) to sequences (N, n)."""

KINDS = ("full", "by-position", "uniform", "no-positions", "no-attention")
"""What attention may use: all of a token, its position only, or nothing (all tokens weigh the
same); then layers whose tokens do not know their positions, or do not see each other."""


class Layer(nn.Module):
    """A transformer layer on tokens (x_t, e_t, 0, ..., 0), e_t one-hot, without normalisation.

    Head h of n weighs token s for token t by softmax_s((q_h·u_t)(k_h·u_s)), where u = (x, e), and
    writes the mean of v_h·u_s into its own slot. The ReLU network reads (x, e, slots), 2n + 1
    numbers, and writes the answer into a last coordinate that was zero. Of K neurons; the weights
    are float64 and drawn from a seed; ``kind`` is one of ``KINDS``.
    """

    def __init__(self, n: int, K: int, seed: int, *, kind: str = "full") -> None:
        super().__init__()
        if n < 2 or K < 1 or kind not in KINDS:
            kinds = ", ".join(KINDS)
            raise ConfigError(f"n={n}, K={K}, kind={kind!r}: give n > 1, K > 0 and one of {kinds}.")
        draw = torch.Generator().manual_seed(seed)

        def weights(*shape: int, inputs: int) -> nn.Parameter:
            uniform = torch.rand(*shape, generator=draw, dtype=torch.float64)
            return nn.Parameter((2 * uniform - 1) / inputs**0.5)

        self.kind, wide = kind, 2 * n + 1
        self.q, self.k, self.v = (weights(n, 1 + n, inputs=1 + n) for _ in range(3))
        self.first, self.bias = weights(K, wide, inputs=wide), weights(K, inputs=wide)
        self.second = weights(K, inputs=K)
        self.seen = torch.ones(1 + n, dtype=torch.float64) * (kind != "uniform")
        self.seen[0] *= kind != "by-position"
        self.e = torch.eye(n, dtype=torch.float64) * (kind != "no-positions")

    def attention(self, u: Tensor) -> Tensor:
        """Return the weights (N, heads, n, n) of tokens (N, n, 1 + n)."""
        asked, held = (u @ (w * self.seen).T for w in (self.q, self.k))  # (N, n, heads)
        return torch.einsum("nth,nsh->nhts", asked, held).softmax(dim=3)

    def tokens(self, x: Tensor) -> Tensor:
        """Return what the ReLU network reads, (N, n, 2n + 1), of sequences (N, n)."""
        u = torch.cat([x[:, :, None], self.e.expand(len(x), -1, -1)], dim=2)
        slots = torch.einsum("nhts,nsh->nth", self.attention(u), u @ self.v.T)
        return torch.cat([u, slots * (self.kind != "no-attention")], dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the answers (N, n) of sequences (N, n), float64."""
        return torch.relu(self.tokens(x) @ self.first.T + self.bias) @ self.second

    @torch.no_grad()
    def network(self) -> ReLUNetwork:
        """Return the same map of the whole sequence, as a network with one hidden layer.

        It has n inputs and n scores. Neurons that no sequence of [0, 1]^n wakes at a token are
        left out there. A layer whose attention looks at x is not piecewise linear, and refused.
        """
        looks = torch.stack([self.q[:, 0], self.k[:, 0]]) * self.seen[0]
        if self.kind != "no-attention" and looks.any():
            raise ConfigError("attention looks at x, which bends the layer: take 'by-position'.")
        n = len(self.e)
        base, *moved = self.tokens(torch.cat([torch.zeros(1, n), torch.eye(n)]).double())
        steps = torch.stack(moved, dim=-1) - base[:, :, None]  # (n, 2n + 1, inputs)
        w = torch.einsum("kd,tdi->tki", self.first, steps)  # (n, K, inputs)
        b = base @ self.first.T + self.bias  # (n, K)
        awake = w.clamp(min=0).sum(dim=2) + b > 0
        awake[0, 0] = True  # a network has one neuron at least
        out = torch.eye(n)[:, :, None] * self.second  # (scores, n, K)
        parts = [part.numpy() for part in (w[awake], out[:, awake], b[awake])]
        return ReLUNetwork((parts[0], parts[1]), (parts[2], np.zeros(n)))


def mixing(n: int, beta: float) -> Floats:
    """Return M (n, n): by n heads of which the j-th attends to token j, a token holds M x.

    M = (p - r) I + r 1 1ᵀ, p = e^β / (e^β + n - 1), r = 1 / (e^β + n - 1), has an inverse if β ≠ 0.
    """
    p = 1 / (1 + (n - 1) * np.exp(-beta))
    M: Floats = np.full((n, n), (1 - p) / (n - 1))
    np.fill_diagonal(M, p)
    return M


KERNELS: Mapping[str, Callable[[int], Floats]] = {
    "sum": lambda N: np.eye(1, N + 1)[0],
    "fejer": lambda N: np.ones(N + 1),
    "korovkin": lambda N: np.sin(np.pi * np.arange(1, N + 2) / (N + 2)),
}
"""The s_0, ..., s_N of a positive kernel |Σ_j s_j e^{ijθ}|², except that of the plain sum."""


@dataclass(frozen=True, eq=False)
class Ridges:
    """g(x) = constant + Σ_k a_k cos(π k·x), with a column of ``a`` (R, n) for each token.

    The rows of ``k`` (R, n) are integers, one of every two vectors k and -k.
    """

    k: Indices
    a: Floats
    constant: Floats

    def __call__(self, x: ArrayLike) -> Floats:
        """Return g (N, n) at sequences (N, n)."""
        return np.asarray(self.constant + np.cos(np.pi * np.asarray(x) @ self.k.T) @ self.a)


def ridges(f: Sequences, n: int, N: int, kernel: str = "korovkin") -> Ridges:
    """Return the cosine polynomial of degree N in each x_t that a kernel makes of f.

    It needs f at (4N + 4)^n places. With the kernel of Korovkin it differs from f by at most
    ``bound(N, L)``, and so do these sums over places, as their weights are positive, too.
    """
    if n < 2 or N < 1 or kernel not in KERNELS:
        known = ", ".join(KERNELS)
        raise ConfigError(f"n={n}, N={N}, kernel={kernel!r}: give n > 1, N > 0 and one of {known}.")
    P = 4 * (N + 1)
    places = grid(n, (np.arange(P) + 0.5) / P)
    values = np.asarray(f(places), dtype=np.float64)
    if values.shape != places.shape or not np.isfinite(values).all():
        raise ConfigError(f"f gave {values.shape} for {places.shape}: let it give finite (N, n).")
    c = dctn(values.reshape(*[P] * n, n), axes=range(n))[(slice(N + 1),) * n] / (2 * P) ** n
    s = KERNELS[kernel](N)
    shares = np.ones(N + 1) if kernel == "sum" else np.correlate(s, s, "full")[N:] / (s @ s)
    for axis in range(n):
        c = c * np.expand_dims(shares, [i for i in range(n + 1) if i != axis])
    k = grid(n, np.arange(-N, N + 1)).astype(np.intp)
    k = k[len(k) // 2 + 1 :]  # those before the middle are their negatives
    return Ridges(k, 2 * c[tuple(np.abs(k).T)], c[(0,) * n])


def bound(N: int, L: ArrayLike) -> float:
    """Return how far a Korovkin mean of degree N can be from f, which is L_i-Lipschitz in x_i."""
    return float(np.pi / (2 * (N + 2)) * np.sum(L))


def _interpolated(k: Indices, a: Floats, constant: float, eps: float) -> tuple[Floats, ...]:
    """Return weights (K, n), biases and output weights (K,) of a sum of ridges, within eps.

    Ridge k in q_k parts costs q_k - 1 neurons and an error of |a_k| (π |k| / q_k)² / 8, where |k|
    is the sum of the |k_i|; the q_k are those by which the errors of all cost least together.
    """
    size, low = np.abs(k).sum(axis=1), np.minimum(k, 0).sum(axis=1)
    price = np.cbrt(np.abs(a) * size**2)
    parts = np.ceil(np.pi * np.sqrt(price.sum() / (8 * eps)) * price).clip(1).astype(int)
    start = np.cumsum(parts) - parts
    of = np.repeat(np.arange(len(k)), parts)
    h = (size / parts)[of]
    t = low[of] + h * (np.arange(len(of)) - start[of])  # where each part begins
    slope = a[of] * (np.cos(np.pi * (t + h)) - np.cos(np.pi * t)) / h
    bend = np.diff(slope, prepend=0)
    inner = np.arange(len(of)) != start[of]
    w = slope[start] @ k  # all first parts together are one linear function
    b = constant + a @ np.cos(np.pi * low) - slope[start] @ low
    lift = np.maximum(-w, 0).sum()
    rows = np.vstack([k[of[inner]], w, np.zeros_like(w)])
    return rows, np.append(-t[inner], [lift, 1.0]), np.append(bend[inner], [1.0, b - lift])


def construct(sums: Ridges, eps: float, *, beta: float = 1.0) -> Layer:
    """Return a layer, by weights written down, that differs from sums of ridges by at most eps.

    Heads attend by position, and the ReLU network begins with the inverse of what they mix. At
    β = 0 every head gives the mean, and there is none.
    """
    n = sums.k.shape[1]
    M = mixing(n, beta)
    if not (eps > 0 and np.isfinite(beta) and np.linalg.cond(M) < 1e8):
        raise ConfigError(f"eps={eps}, beta={beta}: give eps above 0, and a β clearly not 0.")
    back = np.linalg.inv(M)
    rows, biases, outs = [], [], []
    for i in range(n):
        w, b, out = _interpolated(sums.k, sums.a[:, i], float(sums.constant[i]), eps)
        shut = -1 - np.maximum(np.maximum(w, 0).sum(axis=1) + b, 0)  # at any other position
        e = shut[:, None] * (np.arange(n) != i)
        rows.append(np.hstack([np.zeros((len(w), 1)), e, w @ back]))
        biases.append(b)
        outs.append(out)
    layer = Layer(n, sum(map(len, outs)), seed=0, kind="by-position").requires_grad_(False)
    for weight in (layer.q, layer.k, layer.v):
        weight.zero_()
    layer.q[:, 1:], layer.k[:, 1:], layer.v[:, 0] = beta, torch.eye(n), 1
    parts = {layer.first: rows, layer.bias: biases, layer.second: outs}
    for weight, given in parts.items():
        weight.copy_(torch.from_numpy(np.concatenate(given)))
    return layer


def target(x: Floats) -> Floats:
    """Return our f (N, n): |x_1 - x_2|, sin(2π x_1) x_2, and of further tokens x_1 x_2 ... x_t."""
    more = np.cumprod(x, axis=1)[:, 2:]
    return np.column_stack([abs(x[:, 0] - x[:, 1]), np.sin(2 * np.pi * x[:, 0]) * x[:, 1], more])


def grid(n: int, places: ArrayLike) -> Floats:
    """Return all sequences (N, n) of n of the places, in lexicographic order."""
    return np.stack(np.meshgrid(*[np.asarray(places)] * n, indexing="ij"), -1).reshape(-1, n)


def errors(answers: Sequences, f: Sequences, n: int, m: int = 61) -> Floats:
    """Return each token's largest error (n,) on the grid of m places in [0, 1] for each token."""
    x = grid(n, np.linspace(0, 1, m))
    return np.asarray(np.abs(answers(x) - f(x)).max(axis=0))


def floors(f: Sequences, n: int, m: int = 61) -> dict[str, float]:
    """Return what no layer of a kind gets below: of its largest error over tokens and sequences.

    A layer gives one answer to all cases that it cannot tell apart; half of what f differs there is
    a floor. Without positions a token knows x_t and which numbers there are, without attention t
    and x_t, with uniform attention their mean as well. Taken over a grid.
    """
    at = grid(n, np.arange(m)).astype(np.intp)
    values = f(at / (m - 1)).ravel()
    here, token = at.ravel(), np.tile(np.arange(n), len(at))
    found = {}
    for kind, known in {
        "uniform": [token, here, np.repeat(at.sum(axis=1), n)],
        "no-positions": [here, *np.repeat(np.sort(at, axis=1), n, axis=0).T],
        "no-attention": [token, here],
    }.items():
        case = np.unique(np.stack(known, axis=1), axis=0, return_inverse=True)[1].ravel()
        high, low = np.full((2, case.max() + 1), [[-np.inf], [np.inf]])
        np.maximum.at(high, case, values)
        np.minimum.at(low, case, values)
        found[kind] = float((high - low).max() / 2)
    return found
