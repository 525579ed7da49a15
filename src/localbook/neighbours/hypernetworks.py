"""A hypernetwork's weights grow with its input; two changes mend it (gonzalezortiz2024magnitude).

θ = h(E(γ); ω) are the weights of a primary network f(x; θ), and h is linear layers and leaky ReLUs
whose biases start at zero. By default E(γ) = γ, and so h(aγ) = a h(γ) for every a > 0. Magnitude
invariant parametrisations (MIP) encode γ at constant norm, and add θ_0, weights that f itself could
start with: they are the start of h's last bias. Symbols are the paper's, initial weights those of
the authors' package ``hyperlight``.

What follows for f is ours. Biases of f are generated as zero at the start; so the scores of n
layers, and gradients by h's hidden matrices, grow as aⁿ, and decisions do not depend on a at all.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.fit import accuracy, fit

ENCODINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "raw": lambda g: g,
    "cos-sin": lambda g: torch.cat([(math.pi / 2 * g).cos(), (math.pi / 2 * g).sin()], dim=-1),
    "two-sided": lambda g: torch.cat([g, 1 - g], dim=-1),
    "centred": lambda g: 2 * g - 1,
    "shifted": lambda g: 1 + g,
}
"""E(γ) of inputs (..., D): the default, MIP's, the package's other one, and two controls."""

STARTS = ("fan-in", "fan-out", "hyperfan")
"""Of h's weights: the spread by the inputs of a layer, by its outputs, or by the inputs of f's."""

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, momentum=0.9, fused=True),
    "adam": partial(torch.optim.Adam, fused=True),
}


class HyperNetwork(nn.Module):
    """h(E(γ); ω), which generates all weights of a primary network.

    The part of h's last layer that makes one tensor of f is drawn by itself, and is zero where that
    is a bias. Its spread is 1/√inputs by ``fan-in``, √(2 / the tensor's numbers) by ``fan-out``,
    and by ``hyperfan`` such that the tensor has the variance 2 / fan-in of f's own layer, in the
    mean over uniform γ. Layers before it have √(2 / inputs), or √(2 / outputs) by ``fan-out``.

    Parameters
    ----------
    primary : nn.Module
        f, of linear and convolutional layers; only the shapes of its weights matter.
    seed : int
    inputs : int
        D, how many numbers γ has.
    hidden : sequence of int
        Neurons of h's hidden layers.
    encoding, start : str
        Of ``ENCODINGS`` and of ``STARTS``.
    residual : bool
        Whether h's last bias starts at θ_0, and not at zero.

    Raises
    ------
    ConfigError
        If a name is unknown, or a size is not positive.

    Examples
    --------
    >>> from localbook.fit import mlp
    >>> h = HyperNetwork(mlp((64, 32, 10), seed=0), seed=0)
    >>> gamma = torch.tensor([0.2])
    >>> torch.equal(h.flat(4 * gamma), 4 * h.flat(gamma))
    True
    """

    def __init__(
        self,
        primary: nn.Module,
        seed: int,
        *,
        inputs: int = 1,
        hidden: Sequence[int] = (16, 64),
        encoding: str = "raw",
        start: str = "fan-out",
        residual: bool = False,
    ) -> None:
        super().__init__()
        if encoding not in ENCODINGS or start not in STARTS or min((inputs, *hidden)) < 1:
            raise ConfigError(
                f"{inputs=}, hidden={tuple(hidden)}, {encoding=}, {start=}: give sizes of 1 or "
                f"more, one of {', '.join(ENCODINGS)}, and one of {', '.join(STARTS)}."
            )
        self.encoding = encoding
        self.shapes = {name: weight.shape for name, weight in primary.named_parameters()}
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        sizes = [ENCODINGS[encoding](torch.zeros(inputs)).numel(), *hidden]
        *linear, last = (
            nn.Linear(n, m, device="meta").to_empty(device="cpu")
            for n, m in pairwise([*sizes, sum(self.sizes)])
        )
        self.hidden = nn.Sequential(*(part for one in linear for part in (one, nn.LeakyReLU())))
        self.last = last
        self._draw(torch.Generator().manual_seed(seed), inputs, start, residual)

    @torch.no_grad()
    def _draw(self, draw: torch.Generator, inputs: int, start: str, residual: bool) -> None:
        gamma = torch.rand(1000, inputs, generator=draw)
        self.last.bias.normal_(generator=draw).mul_(residual)
        for layer in (part for part in self.hidden if isinstance(part, nn.Linear)):
            fan = layer.out_features if start == "fan-out" else layer.in_features
            layer.weight.normal_(0, math.sqrt(2 / fan), generator=draw)
            layer.bias.zero_()
        square = self.hidden(ENCODINGS[self.encoding](gamma)).square().sum(1).mean().item()
        parts = (torch.split(w, self.sizes) for w in self.last.parameters())
        for shape, rows, theta_0 in zip(self.shapes.values(), *parts, strict=True):
            own = (len(shape) > 1) * 2 / shape[1:].numel()  # the variance that f would start with
            theta_0.mul_(math.sqrt(own))
            std = {
                "fan-in": self.last.in_features**-0.5,
                "fan-out": math.sqrt(2 / shape.numel()),
                "hyperfan": math.sqrt(own / square),
            }[start]
            rows.normal_(0, std * (len(shape) > 1), generator=draw)

    def flat(self, gamma: Tensor) -> Tensor:
        """Return θ (..., P) of inputs (..., D), in the order of the primary's parameters."""
        if self.encoding != "raw" and not bool(((gamma >= 0) & (gamma <= 1)).all()):
            raise ConfigError(f"γ is encoded on [0, 1] only; {gamma.tolist()} is not all in it.")
        out: Tensor = self.last(self.hidden(ENCODINGS[self.encoding](gamma)))
        return out

    def forward(self, gamma: Tensor) -> dict[str, Tensor]:
        """Return the primary's weights by name, of one input (D,)."""
        parts = torch.split(self.flat(gamma), self.sizes)
        shapes = self.shapes.items()
        return {name: part.view(s) for (name, s), part in zip(shapes, parts, strict=True)}


def scores(net: nn.Module, primary: nn.Module, gamma: Tensor, x: Tensor) -> Tensor:
    """Return f(x; h(E(γ))) of one γ (D,) and a batch x."""
    out: Tensor = functional_call(primary, net(gamma), (x,))
    return out


def grid(count: int) -> Tensor:
    """Return γ = 0, ..., 1 in equal steps, shape (count, 1)."""
    return torch.linspace(0, 1, count)[:, None]


def turned(images: Tensor, count: int) -> Tensor:
    """Return images (N, C, H, H) turned by 90° γ, for γ of :func:`grid`: (count, N, C, H, H)."""
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ConfigError(f"images of shape {tuple(images.shape)}: give square ones, (N, C, H, H).")
    out, angles = [], math.pi / 2 * grid(count)[:, 0]
    for c, s in zip(angles.cos().tolist(), angles.sin().tolist(), strict=True):
        turn = torch.tensor([[c, -s, 0], [s, c, 0]]).expand(len(images), 2, 3)
        places = affine_grid(turn, list(images.shape), align_corners=False)
        out.append(grid_sample(images, places, align_corners=False))
    return torch.stack(out)


class _Turns(nn.Module):
    """What ``fit`` trains: each call takes the next γ of an order of them."""

    def __init__(self, net: nn.Module, primary: nn.Module, x: Tensor, order: Tensor) -> None:
        super().__init__()
        self.net, self.f, self.x, self.order, self.t = net, [primary], x, order.tolist(), -1

    def forward(self, samples: Tensor) -> Tensor:
        self.t += 1
        g = self.order[self.t]
        return scores(self.net, self.f[0], grid(len(self.x))[g].to(self.x), self.x[g][samples])


def train(
    net: nn.Module,
    primary: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    rounds: int,
    batch_size: int,
    lr: float,
    seed: int,
    optimiser: str = "sgd",
) -> Floats:
    """Train ω in place, one γ a step, and return the loss of every step, shape (rounds, G).

    A round takes each γ of the grid once, in a random order; column g is that of the g-th.

    Parameters
    ----------
    net, primary : nn.Module
        h, of which everything is trained that requires it, and f, whose own weights rest.
    x, y : Tensor (G, N, ...) and (N,)
        The inputs of f at every γ, and their classes.
    rounds, batch_size, lr, seed
        The seed is that of both orders, of γ and of samples.
    optimiser : str
        Of ``OPTIMISERS``; SGD has a momentum of 0.9.

    Raises
    ------
    ConfigError
        If a number makes no sense.
    TrainingError
        If the loss is not finite.
    """
    if len(x) < 2 or rounds < 1 or optimiser not in OPTIMISERS:
        known = ", ".join(OPTIMISERS)
        raise ConfigError(f"{len(x)} γ, {rounds=}, {optimiser=}: give two, one, one of {known}.")
    draw = torch.Generator().manual_seed(seed)
    turns = [torch.randperm(len(x), generator=draw) for _ in range(rounds)]
    steps = _Turns(net, primary, x, torch.cat(turns))
    losses = np.full((rounds, len(x)), np.nan)

    def loss(out: Tensor, y: Tensor) -> Tensor:
        value = cross_entropy(out, y)
        losses[steps.t // len(x), steps.order[steps.t]] = value.item()
        return value

    fit(
        steps, torch.arange(len(y)), y, steps=rounds * len(x), batch_size=batch_size, lr=lr,
        seed=seed, loss=loss, optimiser=OPTIMISERS[optimiser],
        parameters=[w for w in net.parameters() if w.requires_grad],
    )  # fmt: skip
    return losses


def accuracies(net: nn.Module, primary: nn.Module, x: Tensor, y: Tensor) -> Floats:
    """Return the accuracy at every γ of the grid, shape (G,), of inputs (G, N, ...)."""
    pairs = zip(grid(len(x)).to(x), x, strict=True)
    return np.array([accuracy(partial(scores, net, primary, g), part, y) for g, part in pairs])


def gradient_norms(net: HyperNetwork, primary: nn.Module, x: Tensor, y: Tensor) -> Floats:
    """Return the length of the loss's gradient by h's hidden matrices, at every γ: (G,)."""
    weights = [w for w in net.hidden.parameters() if w.ndim > 1]
    pairs = zip(grid(len(x)).to(x), x, strict=True)
    losses = (cross_entropy(scores(net, primary, gamma, part), y) for gamma, part in pairs)
    found = (torch.autograd.grad(loss, weights) for loss in losses)
    return np.array([torch.cat([g.flatten() for g in each]).norm().item() for each in found])
