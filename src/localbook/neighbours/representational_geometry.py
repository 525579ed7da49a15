"""Hidden layers of tanh take over the targets' geometry, ReLU's keep the inputs' (alleman2024task).

One hidden layer learns a dichotomy of P = 8 clusters, whose centres c_p are made of three bits z_p:
x = c_p + noise, R = φ(W c + b) and scores V R + c. The geometry of R (P, m) is compared with that
of the targets T (P, q) and of the centres by centred kernel alignment, parallelism, and
generalisation across conditions. The tunable family of inputs, sizes and rates are ours; so are the
controls, which part what φ does far out from what it does at the origin.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from localbook.arrays import Floats, Indices, Row
from localbook.errors import ConfigError
from localbook.fit import fit, mlp
from localbook.local import ccgp, inherited, linear_cka, parallelism

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Clusters",
    "Setting",
    "draw",
    "geometry",
    "looks",
    "network",
    "targets",
]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": F.relu,
    "linear": lambda z: z,
    "softplus": F.softplus,
    "shifted": lambda z: F.relu(z + 1),
    "clamp": lambda z: F.hardtanh(z, 0.0, 1.0),  # whose slope at the ends no release has changed
    "abs": torch.abs,
    "leaky": lambda z: F.leaky_relu(z, 0.2),
}
"""The two of the claim and the controls.

Far out softplus and ``shifted``, a ReLU of z + 1, are ReLU; near the origin they are nearly linear.
The clamp to [0, 1] is ReLU at the origin and, like tanh, saturates on both sides.
"""


class Activation(nn.Module):
    """One of ``ACTIVATIONS``, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in ACTIVATIONS:
            raise ConfigError(f"unknown activation {name!r}; choose of {', '.join(ACTIVATIONS)}.")
        self.name = name

    def forward(self, z: Tensor) -> Tensor:
        """Return φ(z), of the same shape."""
        return ACTIVATIONS[self.name](z)


@dataclass(frozen=True)
class Setting:
    """Networks on clusters, at one profile.

    Attributes
    ----------
    tasks : tuple of (str, float, float)
        Target (see :func:`targets`), structure s of the inputs, gain of the first weights.
    width, inputs, each : int
        Hidden neurons, input dimensions, points of each cluster.
    noise : float
        The root of the noise's mean squared length; centres have length 1.
    lr : float
        Of full-batch Adam.
    steps : int
        At most so many.
    losses : tuple of float
        The falling training losses at which networks are compared.
    """

    tasks: tuple[tuple[str, float, float], ...]
    seeds: int
    methods: tuple[str, ...] = tuple(ACTIVATIONS)
    width: int = 100
    inputs: int = 50
    each: int = 12
    noise: float = 0.2
    lr: float = 0.005
    steps: int = 300
    losses: tuple[float, ...] = (0.01, 0.001)

    def __post_init__(self) -> None:
        if self.inputs < 11 or min(self.width, self.each) < 1 or self.noise < 0:
            raise ConfigError(
                f"inputs={self.inputs}, width={self.width}, each={self.each}, noise={self.noise}: "
                "give at least 11 inputs, one neuron, one point, and no negative noise."
            )
        if any(not (0 <= s <= 1 and gain > 0) for _, s, gain in self.tasks) or not self.tasks:
            raise ConfigError("give tasks (target, structure in [0, 1], gain above zero).")


@dataclass(frozen=True, eq=False)
class Clusters:
    """Eight clusters, one for each value of three bits.

    Attributes
    ----------
    bits : float array, shape (8, 3)
        Of -1 and 1.
    frame : float array, shape (11, inputs)
        Orthonormal rows: one for each cluster, and one for each bit.
    noise : float array, shape (N, inputs)
        Of points, as many of each cluster, in the clusters' order.
    source : str
    """

    bits: Floats
    frame: Floats
    noise: Floats
    source: str = ""

    def __len__(self) -> int:
        return len(self.noise)

    @property
    def cluster(self) -> Indices:
        """The cluster (N,) of each point."""
        return np.repeat(np.arange(8), len(self) // 8)

    def centres(self, structure: float) -> Floats:
        """Return c (8, inputs), of length 1: at 0 orthonormal, at 1 linear in the bits."""
        own, by_bit = self.frame[:8], self.bits @ self.frame[8:] / np.sqrt(3)
        c: Floats = np.sqrt(1 - structure) * own + np.sqrt(structure) * by_bit
        return c

    def points(self, structure: float) -> Floats:
        """Return x (N, inputs)."""
        return self.centres(structure)[self.cluster] + self.noise


def draw(setting: Setting, seed: int) -> dict[str, Clusters]:
    """Return the splits ``train`` and ``test``: the same clusters, other noise."""
    rng = np.random.default_rng(seed)
    bits = np.array(list(product((-1.0, 1.0), repeat=3)))
    frame = np.linalg.qr(rng.normal(size=(setting.inputs, 11)))[0].T
    scale, shape = setting.noise / np.sqrt(setting.inputs), (8 * setting.each, setting.inputs)
    source = f"eight clusters in {setting.inputs} dimensions, drawn"
    return {
        split: Clusters(bits, frame, scale * rng.normal(size=shape), source)
        for split in ("train", "test")
    }


def targets(bits: Floats, name: str) -> Floats:
    """Return T (N, q) of -1 and 1: ``bit`` is the first, ``xor`` of the first two, ``two bits``."""
    known = {"bit": bits[:, :1], "xor": bits[:, :1] * bits[:, 1:2], "two bits": bits[:, :2]}
    if name not in known:
        raise ConfigError(f"unknown target {name!r}; choose of {', '.join(known)}.")
    return known[name]


def network(
    sizes: tuple[int, int, int], activation: str, *, gain: float = 1.0, seed: int
) -> nn.Sequential:
    """Return V φ(W x + b) + c with W ~ N(0, gain² / inputs), V ~ N(0, 1 / width) and no biases yet.

    ``sizes`` are inputs, width and targets.
    """
    net = mlp(sizes, seed, activation=partial(Activation, activation))
    generator = torch.Generator().manual_seed(seed)
    for layer, size in zip((net[0], net[2]), (gain, 1.0), strict=True):
        assert isinstance(layer, nn.Linear)
        nn.init.normal_(layer.weight, 0, size / layer.in_features**0.5, generator)
        nn.init.zeros_(layer.bias)
    return net


def looks(
    net: nn.Module,
    x: Tensor,
    t: Tensor,
    look: Callable[[], Row],
    *,
    losses: Sequence[float],
    every: int,
    **how: Any,
) -> list[Row]:
    """Train on the logistic loss; look at the start and where each loss is reached, falling ones.

    The loss is that of all samples (N, q), seen ``every`` so many steps. A loss that is not reached
    has no row; training ends at the last. ``how`` is for :func:`localbook.fit.fit`.
    """
    left = list(losses)
    rows: list[Row] = [{"step": 0, "loss": None} | look()]

    def after(step: int) -> None:
        if step % every == 0:
            value = _logistic(net(x), t).item()
            while left and value <= left[0]:
                rows.append({"step": step, "loss": left.pop(0)} | look())
            if not left:
                raise _ReachedError

    with suppress(_ReachedError):
        fit(net, x, t, loss=_logistic, after_step=after, **how)
    return rows


class _ReachedError(Exception):
    """The last loss is."""


def _logistic(scores: Tensor, t: Tensor) -> Tensor:
    return F.softplus(-t * scores).mean()


@torch.no_grad()
def geometry(net: nn.Sequential, test: Clusters, target: str, structure: float) -> Row:
    """Return alignments, parallelism, CCGP and inheritance of the hidden layer, to four digits.

    ``with_target`` and ``with_input`` are linear CKA at the centres. Of two targets the others are
    means.
    """
    hidden = net[:2]
    centres = torch.tensor(test.centres(structure), dtype=torch.float32)
    points = torch.tensor(test.points(structure), dtype=torch.float32)
    R, T = hidden(centres), targets(test.bits, target)
    alignment = linear_cka([R], [torch.tensor(T), centres])[0]
    layer, spread = R.double().numpy(), hidden(points).double().numpy()
    each = [
        (parallelism(layer, t), ccgp(spread, test.cluster, t[test.cluster]), inherited(layer, t))
        for t in T.T
    ]
    found = np.concatenate([alignment.numpy(), np.mean(each, axis=0)])
    keys = ("with_target", "with_input", "parallelism", "ccgp", "inherited")
    return {key: round(float(value), 4) for key, value in zip(keys, found, strict=True)}
