"""Kolmogorov-Arnold networks made of usual activations beat MLPs of their size (ta2025afkan).

A layer turns each of its D inputs into G = g + k numbers, F_di = c(σ(x_d - l_i), σ(h_i - x_d)) with
bounds l, h that are trained and shared by all inputs, moves F into [0, 1], reduces the G numbers of
an input to one, z_d, and ends like an MLP: W σ(LayerNorm(z)). This follows the authors' code. Its
rivals, ReLU-KAN and splines, keep a weight for each input, function and output.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from localbook.errors import ConfigError
from localbook.fit import fit, seeded

Reduction = Literal["global", "spatial", "multistep"]
Scope = Literal["batch", "sample", "none"]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {"silu": F.silu, "relu": F.relu}
COMBINATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "sum_prod": lambda a, b: a + b + a * b,
    "quad1": lambda a, b: (a * b).square(),
    "quad2": lambda a, b: a * b + a.square() + b.square(),
    "cubic1": lambda a, b: (a + b) * (a.square() + b.square()),
    "cubic2": lambda a, b: (a * b) ** 3,
}
"""The functions c of the two sides, by the paper's names."""


def bounds(grid: int, order: int) -> tuple[Tensor, Tensor]:
    """Return l and h (g + k,) before training: intervals of length (k + 1) / g that cover [0, 1].

    >>> [bound.tolist() for bound in bounds(2, 1)]
    [[-0.5, 0.0, 0.5], [0.5, 1.0, 1.5]]
    """
    if min(grid, order) < 1:
        raise ConfigError(f"grid={grid}, order={order}: both at least 1.")
    low = torch.arange(-order, grid) / grid
    return low, low + (order + 1) / grid


def normalised(features: Tensor, over: Scope) -> Tensor:
    """Return features (N, D, G) moved and scaled to [0, 1], over the batch or each sample.

    The paper divides by their norm first, which this undoes, and takes the whole batch: so what a
    network says of a sample depends on the others.

    >>> features = torch.tensor([[[1.0, 3.0]], [[2.0, 5.0]]])
    >>> normalised(features, "batch").flatten().tolist()
    [0.0, 0.5, 0.25, 1.0]
    >>> normalised(features, "sample").flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    if over == "none":
        return features
    axes = (0, 1, 2) if over == "batch" else (1, 2)
    low, high = (f(features, axes, keepdim=True) for f in (torch.amin, torch.amax))
    return (features - low) / (high - low).clamp_min(torch.finfo(features.dtype).tiny)


class AFLayer(nn.Module):
    """One layer of an AF-KAN, from x (N, D) to (N, outputs).

    Parameters
    ----------
    inputs, outputs, grid, order : int
        D and the width of the next layer, g and k.
    activation, combine : str
        σ and c, of ``ACTIVATIONS`` and ``COMBINATIONS``.
    reduction : {"global", "spatial", "multistep"}
        How G numbers become one, with s a softmax at a trained temperature of at least 1: z_d = Σ_i
        F_di s_d, with s over the inputs, of w · F_d + b; or Σ_i F_di s_di, with s over the
        functions, of each function's convolution along the inputs; or plainly w · F_d + b.
    over : {"batch", "sample", "none"}
        See :func:`normalised`; the paper's is the first.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        grid: int = 3,
        order: int = 3,
        activation: str = "silu",
        combine: str = "quad1",
        reduction: Reduction = "global",
        over: Scope = "batch",
    ) -> None:
        super().__init__()
        for value, known in (
            (activation, ACTIVATIONS),
            (combine, COMBINATIONS),
            (reduction, get_args(Reduction)),
            (over, get_args(Scope)),
        ):
            if value not in known:
                raise ConfigError(f"{value!r} is unknown here; choose of {', '.join(known)}.")
        self.activation, self.combine = ACTIVATIONS[activation], COMBINATIONS[combine]
        self.reduction, self.over, count = reduction, over, grid + order
        self.low, self.high = (nn.Parameter(bound) for bound in bounds(grid, order))
        self.score: nn.Module = nn.Linear(count, 1)
        if reduction == "spatial":
            self.score = nn.Conv1d(count, count, 3, padding=1, groups=count)
        if reduction != "multistep":
            self.temperature = nn.Parameter(torch.tensor(math.sqrt(inputs)))
        self.norm: nn.Module = nn.LayerNorm(inputs)
        self.W = nn.Linear(inputs, outputs, bias=False)

    def features(self, x: Tensor) -> Tensor:
        """Return F (N, D, G), normalised, of inputs (N, D)."""
        x = x[:, :, None]
        sides = self.activation(x - self.low), self.activation(self.high - x)
        return normalised(self.combine(*sides), self.over)

    def reduced(self, features: Tensor) -> Tensor:
        """Return z (N, D) of F (N, D, G)."""
        if self.reduction == "multistep":
            out: Tensor = self.score(features)[:, :, 0]
            return out
        heat = self.temperature.clamp_min(1.0)
        if self.reduction == "global":
            share: Tensor = (self.score(features)[:, :, 0] / heat).softmax(1)  # (N, D)
            return features.sum(2) * share
        along: Tensor = self.score(features.transpose(1, 2)).transpose(1, 2)  # (N, D, G)
        return (features * (along / heat).softmax(2)).sum(2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs)."""
        out: Tensor = self.W(self.activation(self.norm(self.reduced(self.features(x)))))
        return out


class ReLUKAN(nn.Module):
    """A layer of a ReLU-KAN (qiu2024relukan): every output has its own weight for every function.

    Functions of LayerNorm(x) are (16 / (h - l)⁴) ReLU(x_d - l_di)² ReLU(h_di - x_d)², with bounds
    of each input's own; as in the authors' code, the first factor stays as it starts.
    """

    def __init__(self, inputs: int, outputs: int, *, grid: int = 3, order: int = 3) -> None:
        super().__init__()
        ends = (bound.repeat(inputs, 1) for bound in bounds(grid, order))
        self.low, self.high = map(nn.Parameter, ends)
        self.scale = 4 * grid**2 / (order + 1) ** 2
        self.norm = nn.LayerNorm(inputs)
        self.W = nn.Linear(inputs * (grid + order), outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs) of (N, D)."""
        x = self.norm(x)[:, :, None]
        bumps = self.scale * F.relu(x - self.low) * F.relu(self.high - x)  # (N, D, G)
        out: Tensor = self.W(bumps.square().flatten(1))
        return out


def b_splines(x: Tensor, grid: int, order: int, reach: float) -> Tensor:
    """Return the B-splines (..., g + k) of degree k on g equal intervals of [-reach, reach], at x.

    At a distance of r intervals from its centre a spline is Σ_j (-1)^j C(k + 1, j)
    ((k + 1) / 2 - j - r)₊^k / k!, and the terms of the second half are zero.
    """
    if min(grid, order) < 1 or not reach > 0:
        raise ConfigError(f"grid={grid}, order={order}, reach={reach}: give positive numbers.")
    step, half = 2 * reach / grid, (order + 1) / 2
    centre = (torch.arange(grid + order, dtype=x.dtype) - order + half) * step - reach
    r = (x[..., None] - centre).abs() / step
    terms = (
        (-1) ** j * math.comb(order + 1, j) * F.relu(half - j - r) ** order
        for j in range(math.ceil(half))
    )
    return torch.stack(tuple(terms)).sum(0) / math.factorial(order)


class SplineKAN(nn.Module):
    """A layer of the first KAN (liu2024kan): V silu(x) + Σ_di W_di B_i(x_d), of LayerNorm(x).

    The splines live on [-2, 2]; beyond, there is silu.
    """

    def __init__(self, inputs: int, outputs: int, *, grid: int = 3, order: int = 3) -> None:
        super().__init__()
        self.grid, self.order = grid, order
        self.norm = nn.LayerNorm(inputs)
        self.V = nn.Linear(inputs, outputs, bias=False)
        self.W = nn.Linear(inputs * (grid + order), outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs) of (N, D)."""
        x = self.norm(x)
        out: Tensor = self.V(F.silu(x)) + self.W(
            b_splines(x, self.grid, self.order, 2.0).flatten(1)
        )
        return out


def network(widths: Sequence[int], seed: int, layer: Callable[[int, int], nn.Module]) -> Any:
    """Return an nn.Sequential of ``layer(inputs, outputs)``, initialised by the seed."""
    if len(widths) < 2 or min(widths) < 1:
        raise ConfigError(f"widths={tuple(widths)}: give inputs and outputs, each at least 1.")
    with seeded(seed):
        return nn.Sequential(*(layer(n, m) for n, m in pairwise(widths)))


def train(
    net: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
    fall: float | None = None,
) -> None:
    """Train in place by AdamW, weight decay 1e-4, on samples (N, D) and classes (N,).

    The rate falls along a cosine, or by ``fall`` an epoch: the authors' is 0.8 from 1e-3.
    """
    in_epoch, schedules = -(-len(x) // batch_size), []

    def rate(step: int) -> float:
        cosine = (1 + math.cos(math.pi * step / (epochs * in_epoch))) / 2
        return cosine if fall is None else float(fall ** (step // in_epoch))

    def optimiser(parameters: Any, lr: float) -> torch.optim.Optimizer:
        made = torch.optim.AdamW(parameters, lr=lr, weight_decay=1e-4, fused=True)
        schedules.append(LambdaLR(made, rate))
        return made

    fit(
        net, x, y, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, optimiser=optimiser,
        after_step=lambda _: schedules[0].step(),
    )  # fmt: skip


@torch.no_grad()
def scores(net: nn.Module, x: Tensor, batch_size: int) -> Tensor:
    """Return the scores (N, classes) of samples that are judged ``batch_size`` at a time."""
    return torch.cat([net(part) for part in torch.split(x, batch_size)])
