"""Hidden units climb an energy whose maxima are the features that generalise (tian2025provable).

Inputs are pairs from the integers modulo M as two one-hot vectors, targets their sums; the network
is Ŷ = σ(XW)V with σ(z) = z² and no biases, and η is the weight *decay*. A tilde is centring over
the samples. Symbols are the paper's.

The closed form of the energy is ours: with w = [u; v] and all M² pairs, Ỹᵀ(Xw)² is twice the
circular convolution of u and v up to a constant, so ``E = (2/M) Σ_{k≠0} |û_k|²|v̂_k|²``. On
‖w‖ = 1 its maxima have one frequency, ‖u‖ = ‖v‖ and *any* two phases.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from localbook.arrays import Floats, Indices, Row
from localbook.errors import ConfigError
from localbook.experiments.harness import Samples
from localbook.fit import accuracy, fit

Reals = NDArray[np.floating[Any]]


def sample(M: int, share: float, seed: int) -> dict[str, Samples]:
    """Return a share of the M² pairs as the split ``train``, and the others as ``test``.

    x is float32 (N, 2M), y int64 (N,). A larger share of one seed contains the smaller one.
    """
    n = round(share * M * M)
    if M < 3 or not 0 < n < M * M:
        raise ConfigError(f"M={M}, share={share}: give M of 3 or more, and pairs for both splits.")
    h1, h2 = np.divmod(np.random.default_rng([seed, M]).permutation(M * M), M)
    one = torch.eye(M)
    x, y = torch.cat([one[h1], one[h2]], dim=1), torch.tensor((h1 + h2) % M)
    source = f"sums modulo {M}, {n} of {M * M} pairs"
    return {"train": Samples(x[:n], y[:n], source), "test": Samples(x[n:], y[n:], source)}


def energy(w: Reals, X: Reals, Y: Reals) -> tuple[Reals, Reals]:
    """Return E(w) = ½‖Ỹᵀ(Xw)²‖² of units (J, 2M), shape (J,), and its gradients (J, 2M).

    Equation (7), on samples X (n, 2M) with targets Y (n, M), which are centred here.
    """
    centred = Y - Y.mean(axis=0)
    z = w @ X.T  # (J, n)
    s = (z * z) @ centred  # (J, M)
    return 0.5 * (s * s).sum(axis=1), 2 * (z * (s @ centred.T)) @ X


def energy_of_all_pairs(w: Floats) -> Floats:
    """Return E(w) in closed form, ``(2/M) Σ_{k≠0} |û_k|²|v̂_k|²``, of units (J, 2M): (J,)."""
    u, v = np.abs(np.fft.fft(w.reshape(len(w), 2, -1), axis=2)[:, :, 1:]).swapaxes(0, 1) ** 2
    value: Floats = 2 / (w.shape[1] // 2) * (u * v).sum(axis=1)
    return value


def ascend(w: Reals, X: Reals, Y: Reals, *, steps: int) -> Reals:
    """Return units (J, 2M) of length one after ascent of their energies, each by itself.

    A step is w ← w + ∇E/‖∇E‖, and back to length one. Without the w on the right it would swap the
    lengths of u and v for ever.
    """
    for _ in range(steps):
        slope = energy(w, X, Y)[1]
        w = w + slope / (np.linalg.norm(slope, axis=1, keepdims=True) + 1e-30)
        w = w / np.linalg.norm(w, axis=1, keepdims=True)
    return w


def spectrum(w: Reals) -> Floats:
    """Return the shares of the frequencies 1, ..., ⌊M/2⌋ in units (J, 2M): shape (J, ⌊M/2⌋)."""
    parts = w.reshape(len(w), 2, -1)
    M = parts.shape[2]
    power = (np.abs(np.fft.rfft(parts, axis=2)[:, :, 1:]) ** 2).sum(axis=1)
    power[:, : (M - 1) // 2] *= 2  # k and M - k; of an even M, M/2 stands alone
    shares: Floats = power / (power.sum(axis=1, keepdims=True) + 1e-30)
    return shares


def features(M: int, k: Indices, phases: Floats) -> Floats:
    """Return maxima of the energy of all pairs: frequencies (J,) and two phases each (J, 2)."""
    turns = 2 * np.pi / M * k[:, None, None] * np.arange(M) + phases[:, :, None]
    w = np.cos(turns)
    w /= np.linalg.norm(w, axis=2, keepdims=True) * np.sqrt(2)
    return w.reshape(len(w), 2 * M)


def kept(M: int, share: float, seed: int, *, units: int = 24, steps: int = 200) -> float:
    """Return the share of features that the energy of a sample of the pairs keeps.

    Each starts as a feature of random frequency and phases and climbs until it rests; it is kept if
    that frequency still has more than half of its power.
    """
    train = sample(M, share, seed)["train"]
    rng = np.random.default_rng([seed, M, 1])
    k = rng.integers(1, (M + 1) // 2, size=units)
    start = features(M, k, rng.uniform(0, 2 * np.pi, size=(units, 2))).astype(np.float32)
    w = ascend(start, train.x.numpy(), np.eye(M, dtype=np.float32)[train.y.numpy()], steps=steps)
    return float((spectrum(w)[np.arange(units), k - 1] > 0.5).mean())


class Net(nn.Module):
    """Ŷ = (XW)²V: inputs (N, 2M), outputs (N, M), K hidden units; V begins at zero if told so."""

    def __init__(self, M: int, K: int, seed: int, *, zero: bool = False) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        W, V = (2 * torch.rand(*size, generator=draw) - 1 for size in ((2 * M, K), (K, M)))
        self.W = nn.Parameter(W / (2 * M) ** 0.5)
        self.V = nn.Parameter(V / K**0.5 * (not zero))

    def hidden(self, x: Tensor) -> Tensor:
        """Return F = σ(XW), shape (N, K)."""
        return (x @ self.W).square()

    def forward(self, x: Tensor) -> Tensor:
        """Return Ŷ, shape (N, M)."""
        return self.hidden(x) @ self.V


def loss(out: Tensor, y: Tensor) -> Tensor:
    """Return ‖P(Y - Ŷ)‖²/n, equation (1) over n/2, of outputs (n, M) and classes (n,)."""
    rest = nn.functional.one_hot(y, out.shape[1]).to(out.dtype) - out
    return (rest - rest.mean(dim=0)).square().sum() / len(y)


def ridge(F: Tensor, Y: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Return V_ridge (K, M) of features (n, K) and targets (n, M), and G_F (n, K) there.

    G_F = P(Y - FV)Vᵀ is what back-propagation sends to the hidden layer: equations (2) and (4).
    """
    F, Y = F - F.mean(dim=0), Y - Y.mean(dim=0)
    inner = F @ F.T + eta * torch.eye(len(F), dtype=F.dtype)
    rest = torch.linalg.solve(inner, Y)  # (Y - FV) / η
    V = F.T @ rest
    return V, eta * rest @ V.T


def adam(
    params: Iterable[Tensor], lr: float, *, rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return Adam with ``rate`` for the first parameter, W, and ``lr`` for the others."""
    W, *others = params
    groups: list[dict[str, Any]] = [{"params": [W], "lr": rate}, {"params": others}]
    return torch.optim.Adam(groups, lr=lr, weight_decay=weight_decay)


class Muon(torch.optim.Adam):
    """Muon for the first parameter, W, at ``rate``, and Adam with ``lr`` for the others.

    Written out, as torch has one from 2.9 on only, which rounds to bfloat16 before it makes the
    step orthogonal; this one takes the polar factor U Vᵀ of the momentum exactly.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, *, rate: float, weight_decay: float
    ) -> None:
        self.W, *others = params
        self.rate, self.decay, self.momentum = rate, weight_decay, torch.zeros_like(self.W)
        super().__init__(others, lr=lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step with the gradients that are there."""
        assert self.W.grad is not None
        self.momentum = 0.95 * self.momentum + self.W.grad + self.decay * self.W
        U, _, Vh = torch.linalg.svd(self.momentum, full_matrices=False)
        self.W -= self.rate * U @ Vh
        self.W.grad = None
        return super().step(closure)


@torch.no_grad()
def measure(net: Net, splits: Mapping[str, Samples]) -> Row:
    """Return ``train`` and ``test`` accuracy, and what the hidden units have become.

    Ŷ is centred over the training samples, and what the loss does not see, its mean, set to that of
    the targets. ``purity`` is the mean share of a unit's strongest frequency, ``frequencies`` how
    many different ones these are, ``signal`` the length of G_F. Rounded to four digits.
    """
    x, y = splits["train"].x, splits["train"].y
    out = net(x)
    targets = nn.functional.one_hot(y, out.shape[1]).to(out.dtype)
    rest = targets - out - (targets - out).mean(dim=0)
    scores = lambda x: net(x) + (targets - out).mean(dim=0)  # noqa: E731
    w = net.W.numpy().T
    shares = spectrum(w)
    return {
        **{name: round(accuracy(scores, s.x, s.y), 4) for name, s in splits.items()},
        "purity": round(float(np.average(shares.max(axis=1), weights=(w * w).sum(axis=1))), 4),
        "frequencies": len(set(shares.argmax(axis=1).tolist())),
        "signal": round(float((rest @ net.V.T).norm()), 4),
    }


def train(
    net: Net,
    splits: Mapping[str, Samples],
    *,
    optimiser: Callable[..., torch.optim.Optimizer] = adam,
    lr: float,
    eta: float,
    epochs: int,
    every: int = 0,
    rate: float | None = None,
) -> list[Row]:
    """Train in place on all of ``train`` at once; return a row of :func:`measure` a look.

    It looks after ``every`` epochs, or only at the end, and adds how far W has ``moved``, as a
    share of its length at the start. W's learning rate is ``rate``, or ``lr`` as V's.
    """
    start, rows = net.W.detach().clone(), []

    def look(epoch: int) -> None:
        if epoch % (every or epochs) == 0:
            moved = round(float((net.W - start).norm() / start.norm()), 4)
            rows.append({"epoch": epoch, **measure(net, splits), "moved": moved})

    x, y = splits["train"].x, splits["train"].y
    maker = partial(optimiser, rate=rate or lr, weight_decay=eta)
    fit(
        net, x, y, steps=epochs, batch_size=len(x), lr=lr, seed=0,
        loss=loss, optimiser=maker, after_step=look,
    )  # fmt: skip
    return rows
