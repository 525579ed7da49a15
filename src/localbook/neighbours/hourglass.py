"""Blocks wide at the skip and narrow inside beat the usual ones at equal size (chen2025hourglass).

A block is h <- h + W_2 relu(W_1 BN(h)), without biases, with a skip of width d_z and d_h neurons.
Conventional ones have d_z = d_x <= d_h; an hourglass lifts x by W_in to d_z > d_x, and d_h < d_z.
L blocks have L d_h = (their parameters) / (2 d_z) neurons, whatever their depth: d_h and L share
out a given number, and d_z is what a neuron costs. Orthogonal lifts, narrow blocks without a lift,
and champions chosen on validation data are our additions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook.arrays import Floats, Indices, Row
from localbook.errors import ConfigError
from localbook.fit import fit, seeded

Lift = Literal["none", "orthogonal", "random", "trained"]
"""W_in: the identity, fixed with orthonormal columns, fixed at random, or trained from there."""


@dataclass(frozen=True)
class Shape:
    """The shape of a network: ``skip``-``hidden``-``depth``, and its projections.

    Attributes
    ----------
    skip, hidden, depth : int
        d_z, d_h and L.
    lift : {"none", "orthogonal", "random", "trained"}
    out : bool
        Whether there is a trained W_out.
    """

    skip: int
    hidden: int
    depth: int
    lift: Lift = "none"
    out: bool = False

    def __str__(self) -> str:
        return f"{self.skip}-{self.hidden}-{self.depth}"

    @property
    def neurons(self) -> int:
        """Those of all blocks, L d_h."""
        return self.hidden * self.depth

    def parameters(self, size: int) -> tuple[int, int]:
        """Return how many are trained, and how many there are, for images of ``size`` pixels."""
        trained = 2 * self.skip * self.neurons + self.out * self.skip * size
        lifted = (self.lift != "none") * self.skip * size
        return trained + (self.lift == "trained") * lifted, trained + lifted


class Block(nn.Module):
    """One residual block (N, d_z) -> (N, d_z); its normalisation has no parameters."""

    def __init__(self, skip: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(skip, affine=False)
        self.inner = nn.Linear(skip, hidden, bias=False)
        self.outer = nn.Linear(hidden, skip, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """Return h + W_2 relu(W_1 BN(h))."""
        return h + F.linear(F.relu(F.linear(self.norm(h), self.inner.weight)), self.outer.weight)


def network(size: int, shape: Shape, seed: int) -> nn.Sequential:
    """Return a network from ``size`` pixels to as many, with the sigmoid as its last layer.

    It starts as torch does; an orthogonal lift is as long as a random one is in the mean.
    """
    if shape.lift not in get_args(Lift) or min(shape.skip, shape.hidden, shape.depth) < 1:
        raise ConfigError(
            f"{shape!r}: lift is one of {', '.join(get_args(Lift))}, widths positive."
        )
    if shape.skip < size or (shape.skip > size and (shape.lift == "none" or not shape.out)):
        raise ConfigError(
            f"a skip of {shape.skip} on {size} pixels: it needs a lift and out to be wider, and "
            "cannot be narrower."
        )
    with seeded(seed):
        layers: list[nn.Module] = []
        if shape.lift != "none":
            lift = nn.Linear(size, shape.skip, bias=False)
            if shape.lift == "orthogonal":
                nn.init.orthogonal_(lift.weight, gain=(shape.skip / (3 * size)) ** 0.5)
            layers.append(lift.requires_grad_(shape.lift == "trained"))
        layers += [Block(shape.skip, shape.hidden) for _ in range(shape.depth)]
        if shape.out:
            layers.append(nn.Linear(shape.skip, size, bias=False))
    return nn.Sequential(*layers, nn.Sigmoid())


class Noisy(nn.Module):
    """A network that sees its inputs with fresh noise while it is trained, kept within [0, 1]."""

    def __init__(self, net: nn.Module, sigma: float, seed: int) -> None:
        super().__init__()
        self.net, self.sigma = net, sigma
        self.draw = torch.Generator().manual_seed(seed)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network makes of x, or of x with noise."""
        out: Tensor = self.net(noisy(x, self.sigma, self.draw) if self.training else x)
        return out


def noisy(x: Tensor, sigma: float, draw: torch.Generator) -> Tensor:
    """Return images (N, n) with Gaussian noise of deviation sigma, cut off at 0 and 1."""
    return (x + sigma * torch.randn(x.shape, generator=draw)).clamp(0, 1)


def prototypes(x: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Return one image of each class (C, n), drawn from those of the class."""
    rng = np.random.default_rng(seed)
    every = np.asarray(labels)
    return x[[rng.choice(np.flatnonzero(every == c)) for c in range(int(every.max()) + 1)]]


def train(
    net: nn.Sequential,
    x: Tensor,
    y: Tensor,
    *,
    steps: int,
    batch_size: int,
    lr: float,
    seed: int,
    sigma: float = 0.0,
) -> nn.Sequential:
    """Train by AdamW on the squared error of y (N, n), at a rate that falls to zero.

    Images x (N, n) have fresh noise in each step; the rest is as in :func:`localbook.fit.fit`.
    """
    rates: list[torch.optim.lr_scheduler.LRScheduler] = []

    def falling(weights: Any, lr: float) -> torch.optim.Optimizer:
        made = torch.optim.AdamW(weights, lr, weight_decay=0.01, fused=True)
        rates.append(torch.optim.lr_scheduler.LinearLR(made, 1.0, 0.0, steps))
        return made

    fit(
        Noisy(net, sigma, seed) if sigma else net,
        x,
        y,
        steps=steps,
        batch_size=batch_size,
        lr=lr,
        seed=seed,
        loss=F.mse_loss,
        optimiser=falling,
        parameters=[w for w in net.parameters() if w.requires_grad],
        after_step=lambda _: rates[0].step(),
    )
    return net.eval()


def psnr(found: Any, wanted: Any) -> float:
    """Return 10 log10(1 / mean squared error), in dB, of all images together."""
    error = np.mean((np.asarray(found, dtype=np.float64) - np.asarray(wanted)) ** 2)
    return float(-10 * np.log10(error))


def least_squares(x: Tensor, y: Tensor, new: Tensor) -> Floats:
    """Return what the best affine map of inputs (N, n) to targets (N, m) makes of new ones."""
    a, b = ((np.c_[of.double().numpy(), np.ones(len(of))]) for of in (x, new))
    mapped: Floats = b @ np.linalg.lstsq(a, y.double().numpy(), rcond=None)[0]
    return mapped.clip(0, 1)


def frontier(size: Sequence[float], quality: Sequence[float]) -> Indices:
    """Return the numbers of the points that no smaller or equal one reaches, by rising size."""
    sizes, values = np.asarray(size, dtype=np.float64), np.asarray(quality, dtype=np.float64)
    order = np.lexsort((-values, sizes))
    rising = np.diff(np.maximum.accumulate(values[order]), prepend=-np.inf) > 0
    return order[rising]


def champion(rows: Iterable[Row], budget: float, count: str = "trainable") -> Row | None:
    """Return the row of the best ``val_psnr`` whose ``count`` is at most ``budget``, or None."""
    small = [row for row in rows if row[count] <= budget]
    return max(small, key=lambda row: row["val_psnr"], default=None)


OFFICIAL: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]] = {
    "denoising": {
        "hourglass": (
            (1.262, 23.734), (1.294, 23.811), (1.325, 23.868), (1.356, 23.917), (1.388, 23.953),
            (1.411, 23.991), (1.451, 23.999), (1.513, 24.037), (1.592, 24.136), (1.773, 24.209),
            (1.953, 24.247), (2.134, 24.270), (2.314, 24.286), (2.495, 24.305), (2.856, 24.312),
            (3.036, 24.315), (3.350, 24.318), (3.774, 24.323), (4.334, 24.331), (4.672, 24.343),
            (5.010, 24.352), (5.348, 24.353), (7.225, 24.359),
        ),
        "conventional, W": (
            (2.460, 24.227), (2.648, 24.239), (3.033, 24.256), (3.534, 24.277), (5.729, 24.317),
            (7.737, 24.329),
        ),
        "conventional": (
            (1.231, 24.061), (1.419, 24.107), (1.803, 24.174), (2.305, 24.225), (2.838, 24.227),
            (3.606, 24.250), (4.500, 24.299), (6.915, 24.320), (9.000, 24.370), (13.500, 24.373),
        ),
        "hourglass, fixed": (
            (0.647, 23.265), (0.977, 23.410), (1.518, 23.437), (1.699, 23.444), (3.181, 23.938),
            (5.563, 23.980), (7.406, 24.127),
        ),
    },
    "prototypes": {
        "hourglass": (
            (1.294, 25.620), (1.356, 27.703), (1.419, 28.941), (1.482, 29.354), (1.953, 31.850),
            (2.314, 32.124), (2.926, 32.418), (3.429, 32.642), (3.774, 32.703), (4.528, 32.828),
            (6.219, 32.858),
        ),
        "conventional, W": (
            (2.460, 25.259), (2.648, 25.380), (3.033, 25.560), (3.534, 25.749), (3.691, 30.910),
            (4.067, 30.937), (4.836, 31.066), (4.922, 32.284), (5.486, 32.366), (6.153, 32.643),
            (6.905, 32.797), (7.384, 33.057), (12.049, 33.490),
        ),
        "conventional": (
            (1.231, 23.964), (1.419, 24.070), (1.803, 24.250), (2.305, 24.384), (2.462, 26.889),
            (2.838, 26.927), (3.606, 27.119), (3.693, 27.973), (7.095, 28.032), (7.213, 28.114),
            (8.514, 28.293), (27.001, 28.414),
        ),
    },
}  # fmt: skip
"""The authors' frontiers on MNIST: millions of trainable parameters, and dB.

From ``hourglass_mlp/rebuttal/2/README.md`` of github.com/mtkresearch/Hourglass_LM (commit 1f0ae80,
MIT): the best of five rates up to 5e-4, 30 epochs for denoising and 50 for prototypes. "W" has both
projections, "conventional" neither. The fixed lift's frontier we took from the run files below
``results`` there, at the rate of the least validation loss of five up to 1e-2.
"""

OFFICIAL_LIFTS: Mapping[str, float] = {"identity": 29.022, "random": 32.982, "trained": 33.005}
"""Prototypes on MNIST by W_in, in dB, for four blocks 784-1150 with W_out: identity and random are
fixed. From the run files of the same repository, means of two runs at rate 5e-4, 50 epochs."""
