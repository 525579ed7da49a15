"""Quadratic neurons express more than others, and need a linear start (fan2023quadratic).

A neuron is σ((w_r·x + b_r)(w_g·x + b_g) + w_b·(x ⊙ x) + c), with 3n + 3 numbers for n inputs.
ReLinear starts it as the conventional σ(w_r·x + b_r) and lets it leave slowly. Abstract,
introduction and the authors' code were read; exact ranks and the cut along conics are ours.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from localbook import conics
from localbook.arrays import Box, Floats
from localbook.conics import ConicPieces
from localbook.errors import ConfigError, GeometryError

Start = Literal["conventional", "relinear", "random"]


class Quadratic(nn.Module):
    """Pre-activations of quadratic neurons by affine maps ``r``, ``g``, ``b``; the last bias is c.

    All start at zero: :func:`network` gives them their weights.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.r, self.g, self.b = (nn.Linear(inputs, outputs) for _ in range(3))
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return (w_r·x + b_r)(w_g·x + b_g) + w_b·(x ⊙ x) + c, shape (N, outputs)."""
        out: Tensor = self.r(x) * self.g(x) + self.b(x * x)
        return out

    def quadratic_part(self) -> list[Tensor]:
        """Return w_g, b_g, w_b and c: all that a conventional neuron does not have."""
        return [*self.g.parameters(), *self.b.parameters()]


def network(widths: Sequence[int], seed: int, *, start: Start, norm: bool = False) -> nn.Sequential:
    """Return ReLU layers of quadratic neurons and a linear output layer.

    Parameters
    ----------
    widths : sequence of int
        Inputs, neurons of each hidden layer, outputs.
    seed : int
        One seed gives one w_r, whatever the start.
    start : {"conventional", "relinear", "random"}
        Linear layers; quadratic ones that compute the same, w_g = w_b = 0 and b_g = 1; or quadratic
        ones in which w_r, w_g and w_b have the variance 2 / inputs of He, and biases are zero.
    norm : bool
        Batch normalisation before each ReLU, as in the authors' code.

    Examples
    --------
    >>> x = torch.linspace(-1, 1, 8).reshape(4, 2)
    >>> torch.equal(*(network((2, 3, 1), 0, start=s)(x) for s in ("conventional", "relinear")))
    True
    """
    if len(widths) < 3 or min(widths) < 1 or start not in get_args(Start):
        known = " or ".join(get_args(Start))
        raise ConfigError(f"widths={widths}, start={start!r}: give hidden widths, and {known}.")
    linear, others = (torch.Generator().manual_seed(2 * seed + k) for k in (0, 1))

    def he(layer: nn.Linear, by: torch.Generator) -> nn.Linear:
        nn.init.normal_(layer.weight, std=(2 / layer.in_features) ** 0.5, generator=by)
        nn.init.zeros_(layer.bias)
        return layer

    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths[:-1]):
        if start == "conventional":
            layers.append(he(nn.Linear(inputs, outputs), linear))
        else:
            layers.append(layer := Quadratic(inputs, outputs))
            he(layer.r, linear)
            if start == "random":
                he(layer.g, others)
                he(layer.b, others)
            else:
                nn.init.ones_(layer.g.bias)
        layers += [nn.BatchNorm1d(outputs), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(*layers, he(nn.Linear(widths[-2], widths[-1]), linear))


def shrink_gradients(
    net: nn.Sequential, gamma: float, optimiser: Callable[..., torch.optim.Optimizer]
) -> Callable[..., torch.optim.Optimizer]:
    """Return ``optimiser`` with γ times its rate for the quadratic parts (γ_g = γ_b of the paper).

    For plain and heavy-ball descent it is the same as scaling gradients; Adam would undo that.
    """
    if not gamma >= 0:
        raise ConfigError(f"gamma={gamma}: give a share of the rate, 0 or more.")
    layers = [layer for layer in net if isinstance(layer, Quadratic)]
    slow = [weight for layer in layers for weight in layer.quadratic_part()]

    def made(parameters: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
        others = [w for w in parameters if all(w is not weight for weight in slow)]
        return optimiser([{"params": others}, {"params": slow, "lr": gamma * lr}], lr=lr)

    return made


def shrink_weights(net: nn.Sequential, beta: float) -> Callable[[int], None]:
    """Return an ``after_step`` for :func:`localbook.fit.fit` by which w_g, w_b, c lose a share β.

    So does b_g - 1: drawn to zero, as by plain weight decay, it would switch the neuron off.
    """
    if not 0 <= beta <= 1:
        raise ConfigError(f"beta={beta}: give a share between 0 and 1.")

    layers = [layer for layer in net if isinstance(layer, Quadratic)]

    def after_step(step: int) -> None:
        for layer in layers:
            for weight in layer.quadratic_part():
                weight.mul_(1 - beta)
            layer.g.bias.add_(beta)

    return after_step


P = 2**31 - 1  # ranks are taken modulo this prime: no rounding, and products fit 64 bits


def dimension(widths: Sequence[int], *, quadratic: bool) -> tuple[int, int]:
    """Return the dimension of what a structure can compute, and its number of parameters.

    The functions are polynomials: quadratic neurons without σ, or conventional ones with
    σ(z) = z², and a linear output. Their coefficients fill a variety; its dimension is the rank of
    ∂f(x_i)/∂θ at random θ and x_i. Modulo a prime it is never too large, and too small with a
    probability of about the degree over the prime (Schwartz, Zippel).

    Examples
    --------
    >>> dimension((5, 1, 1), quadratic=False), dimension((5, 1, 1), quadratic=True)
    ((7, 8), (17, 20))
    """
    if len(widths) < 3 or min(widths) < 1 or widths[-1] != 1:
        raise ConfigError(f"widths={tuple(widths)}: give inputs, hidden widths and 1, the output.")
    rng = np.random.default_rng(0)
    sizes = list(pairwise(widths[:-1]))
    count = widths[-2] + 1 + (3 if quadratic else 1) * sum(m * (n + 1) for n, m in sizes)
    h = _with_one(rng.integers(P, size=(count, widths[0])))
    steps = []
    for n, m in sizes:
        W = rng.integers(P, size=(3, m, n + 1))
        if not quadratic:
            W[1], W[2] = W[0], 0
        r, g = _times(h, W[0]), _times(h, W[1])
        steps.append((h, r, g, W))
        h = _with_one((r * g + _times(h * h % P, W[2])) % P)
    blocks, delta = [h], np.tile(rng.integers(P, size=widths[-2]), (count, 1))
    for h, r, g, W in reversed(steps):
        slopes = delta * g % P, delta * r % P, delta  # by both factors, and by the squares
        by = [
            (slope[:, :, None] * into[:, None] % P).reshape(count, -1)
            for slope, into in zip(slopes, (h, h, h * h % P), strict=True)
        ]
        blocks += by if quadratic else [(by[0] + by[1]) % P]
        back = [_times(slope, part.T) for slope, part in zip(slopes, W, strict=True)]
        delta = ((back[0] + back[1] + 2 * (h * back[2] % P)) % P)[:, 1:]
    return _rank(np.hstack(blocks)), count


def _with_one(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.insert(x, 0, 1, axis=1)


def _times(x: NDArray[np.int64], W: NDArray[np.int64]) -> NDArray[np.int64]:
    out: NDArray[np.int64] = (x[:, None] * W % P).sum(axis=2) % P
    return out


def _rank(M: NDArray[np.int64]) -> int:
    rank = 0
    for column in range(M.shape[1]):
        below = np.flatnonzero(M[rank:, column]) + rank
        if len(below):
            M[[rank, below[0]]] = M[[below[0], rank]]
            M[rank] = M[rank] * pow(int(M[rank, column]), -1, P) % P
            M[rank + 1 :] = (M[rank + 1 :] - M[rank + 1 :, column, None] * M[rank] % P) % P
            rank += 1
    return rank


def forms(layer: Quadratic) -> Floats:
    """Return neurons of two inputs as symmetric A (m, 3, 3): their value is (1, x)ᵀ A (1, x)."""
    parts = layer.r, layer.g, layer.b
    r, g, b = (torch.column_stack([p.bias, p.weight]).detach().double().numpy() for p in parts)
    A = r[:, :, None] * g[:, None]
    found: Floats = (A + A.swapaxes(1, 2)) / 2 + b[:, :, None] * np.eye(3)
    return found


def conic_pieces(net: nn.Sequential, box: Box, *, corners: int = 24) -> ConicPieces:
    """Cut a box along the conics of the neurons of a network (2, m, 1), and along f = 0.

    The network is :class:`Quadratic`, ReLU, and a linear layer of one output. A curve across the
    whole box is drawn with about so many ``corners``. Cells are ``polygons``, with their
    ``patterns`` (cells, neurons) and the ``piece`` of each; chords (k, 2, 2) those of the ``folds``
    and of the ``boundary``.
    """
    layer, last = net[0], net[-1]
    if not (isinstance(layer, Quadratic) and isinstance(last, nn.Linear) and len(net) == 3):
        raise GeometryError("give a layer of quadratic neurons, ReLU and a linear layer.")
    if (layer.r.in_features, last.out_features) != (2, 1):
        raise GeometryError("give a network of two inputs and one output.")
    weights, bias = last.weight.detach().double().numpy()[0], last.bias.item()
    return conics.conic_pieces(forms(layer), weights, bias, box, corners=corners)
