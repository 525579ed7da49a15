"""Blocks that take noise off a label learn without a pass through the network (li2025noprop).

u_y is the embedding of label y, and z_t = √ᾱ(t) u_y + √(1 - ᾱ(t)) ε goes from noise at t = 0 to the
label. In discrete time (DT) the paper's method is :class:`localbook.local.NoProp`. Here are CT, in
continuous time with a learned schedule, FM, by flow matching, and the walks from noise to a label.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.local import IsolatedNetwork, NoPropBlock, Rule, noprop_posterior

Path = Literal["mean", "stochastic", "ode"]
Estimate = Callable[[Tensor, int], Tensor]  # from z_i (N, d) and i to û or a velocity (N, d)


class NoiseSchedule(nn.Module):
    """The learned schedule: ᾱ = sigmoid(-γ), γ(t) = γ_0 + (γ_1 - γ_0)(1 - γ̄(t)), SNR = e^{-γ}.

    γ̄ rises from 0 to 1: a line and eight sigmoids, with positive weights, which start near a
    straight γ from 4 to -4. The ends are held within ±6.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends = nn.Parameter(torch.tensor([-4.0, 4.0]))  # γ_0 and γ_1
        self.slope = nn.Parameter(torch.tensor(0.0))
        self.weight = nn.Parameter(torch.full((8,), -3.0))
        self.steep = nn.Parameter(torch.full((8,), 2.0))
        self.centre = nn.Parameter(torch.linspace(0, 1, 8))

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return γ(t) and SNR'(t), of times (N,) in [0, 1]."""
        slope, weight, steep = (F.softplus(p) for p in (self.slope, self.weight, self.steep))

        def rise(at: Tensor) -> tuple[Tensor, Tensor]:
            s = torch.sigmoid(steep * (at[:, None] - self.centre))  # (N, 8)
            return slope * at + (weight * s).sum(1), slope + (weight * steep * s * (1 - s)).sum(1)

        value, change = rise(t)
        low, high = rise(torch.arange(2).to(t))[0]
        first, last = self.ends.clamp(-6, 6)
        gamma = first + (last - first) * (1 - (value - low) / (high - low))
        return gamma, (last - first) * change / (high - low) * torch.exp(-gamma)

    def levels(self, steps: int) -> list[float]:
        """Return ᾱ at steps + 1 even times."""
        t = torch.linspace(0, 1, steps + 1).to(self.ends.device, torch.float64)
        levels: list[float] = torch.sigmoid(-self(t)[0]).tolist()
        return levels


class TimeBlock(nn.Module):
    """One network for all times, of images and noisy labels z (N, d), where d is ``classes``.

    Its ``trunk`` turns images into D ``features``. With a ``schedule`` (CT) it says û, by a softmax
    over the embeddings; without (FM) a velocity. Embeddings, one-hot, learn if they have gradients.
    """

    def __init__(
        self, trunk: nn.Module, features: int, classes: int, schedule: NoiseSchedule | None
    ) -> None:
        super().__init__()
        self.trunk, self.schedule, self.classes = trunk, schedule, classes
        self.embed = nn.Linear(classes, 32)
        layers = (nn.Linear(features + 40, 32), nn.ReLU(), nn.Linear(32, classes))
        self.guess = nn.Sequential(nn.ReLU(), *layers)
        self.embedding = nn.Parameter(torch.eye(classes), requires_grad=False)

    def said(self, seen: Tensor, z: Tensor, t: Tensor) -> Tensor:
        """Return û or the velocity (N, d), of an image's features (N, D), z and times (N,)."""
        waves = t[:, None] * torch.arange(1, 5).to(t) * math.pi  # (N, 4)
        time = torch.cat([waves.sin(), waves.cos()], 1) + 1  # a ReLU follows
        out: Tensor = self.guess(torch.cat([seen, self.embed(z), time], 1))
        return out if self.schedule is None else out.softmax(1) @ self.embedding

    def states(self, image: Tensor, start: Tensor, steps: int, path: Path) -> list[Tensor]:
        """Walk in so many steps from z_0 (N, d): z_0, ..., z_S."""
        seen = self.trunk(image)

        def said(z: Tensor, i: int) -> Tensor:
            return self.said(seen, z, z.new_full((len(z),), i / steps))

        if self.schedule is None:
            return flow(said, start, steps)
        return walk(said, start, self.schedule.levels(steps), path)

    def forward(self, image: Tensor) -> Tensor:
        """Return z_20 (N, d) of images, from z_0 = 0 along the mean path or the flow."""
        return self.states(image, image.new_zeros(len(image), self.classes), 20, "mean")[-1]


@dataclass(frozen=True)
class ContinuousTime(Rule):
    r"""NoProp-CT, for a network of one :class:`TimeBlock` with a schedule.

    With t even in [0, 1] and the head's p(y | z_1) it minimises

    .. math::

        -\log p(y \mid z_1) + \mathrm{KL}(q(z_0 \mid y) \,\|\, N(0, I))
        + \tfrac{\eta}{2} \mathrm{SNR}'(t)\, \| \hat u(z_t, x, t) - u_y \|^2 .

    ``scale`` is η. If ``even``, one stands for SNR', which leaves the ideal û as it is, but then
    nothing teaches the schedule.
    """

    scale: float = 0.1
    even: bool = False

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; return the mean loss of û, shape (1,), detached."""
        block, head = net.local_modules[0], net.heads[0]
        if not isinstance(block, TimeBlock) or block.schedule is None:
            raise ConfigError("CT trains a network of one TimeBlock with a schedule.")
        u, t = block.embedding[y], torch.rand(len(y)).to(x)
        gamma, rise = block.schedule(t)
        made = block.said(block.trunk(x), noisy(u, gamma), t)
        weight = 0.5 * self.scale * (torch.ones_like(rise) if self.even else rise)
        loss = (weight * (made - u).square().sum(1)).mean()
        first, last = block.schedule(torch.arange(2).to(x))[0]
        read = F.cross_entropy(head(noisy(u, last[None])), y)
        torch.autograd.backward(loss + read + divergence(u, first))
        return loss.detach()[None]


@dataclass(frozen=True)
class FlowMatching(Rule):
    """NoProp-FM, for a network of one :class:`TimeBlock` without a schedule.

    With z_t = t u_y + (1 - t) z_0 and z_0 ~ N(0, I), v(z_t, x, t) is regressed on u_y - z_0. The
    head learns to read z_t + (1 - t) v, and so holds learned embeddings apart.
    """

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; return the mean loss of v, shape (1,), detached."""
        block, head = net.local_modules[0], net.heads[0]
        if not isinstance(block, TimeBlock) or block.schedule is not None:
            raise ConfigError("FM trains a network of one TimeBlock without a schedule.")
        u, t = block.embedding[y], torch.rand(len(y), 1).to(x)
        start = torch.randn_like(u)
        z = t * u + (1 - t) * start
        v = block.said(block.trunk(x), z, t[:, 0])
        loss = (v - (u - start)).square().sum(1).mean()
        ahead = z + (1 - t) * v
        read = F.cross_entropy(head(ahead if u.requires_grad else ahead.detach()), y)
        torch.autograd.backward(loss + read)
        return loss.detach()[None]


def noisy(u: Tensor, gamma: Tensor) -> Tensor:
    """Return embeddings (N, d) under noise, with γ (N,) or (1,) and noise of torch's own state."""
    share = torch.sigmoid(-gamma)[:, None]
    return share.sqrt() * u + (1 - share).sqrt() * torch.randn_like(u)


def divergence(u: Tensor, gamma: Tensor) -> Tensor:
    """Return the mean of KL(N(√ᾱ u, (1 - ᾱ) I) ‖ N(0, I)) over embeddings (N, d)."""
    return 0.5 * (torch.sigmoid(-gamma) * (u.square() - 1) - F.logsigmoid(gamma)).sum(1).mean()


def walk(
    estimate: Estimate, start: Tensor, levels: Sequence[float], path: Path = "mean"
) -> list[Tensor]:
    """Return z_0, ..., z_S, each (N, d), from estimates of û; z_i has the share ᾱ ``levels[i]``.

    A step is z' = a û + b z ("mean"), that and √c ε ("stochastic"), or Euler's step of the ODE
    with the same marginals, z' = √ᾱ' û + √((1 - ᾱ') / (1 - ᾱ)) (z - √ᾱ û) ("ode").

    >>> [z.item() for z in walk(lambda z, i: torch.ones(1, 1), torch.zeros(1, 1), (0, 0.25, 0.64))]
    [0.0, 0.5, 0.8]
    """
    if path not in get_args(Path):
        raise ConfigError(f"path={path!r}: choose {', '.join(get_args(Path))}.")
    z = [start]
    for i, (before, after) in enumerate(pairwise(levels)):
        u, (a, b, c) = estimate(z[-1], i), noprop_posterior(before, after)
        if path == "ode":
            b = math.sqrt((1 - after) / (1 - before))
            a = math.sqrt(after) - b * math.sqrt(before)
        made = a * u + b * z[-1]
        z.append(made + math.sqrt(c) * torch.randn_like(u) if path == "stochastic" else made)
    return z


def flow(velocity: Estimate, start: Tensor, steps: int) -> list[Tensor]:
    """Return z_0, ..., z_S, each (N, d), by Euler's steps z' = z + v / S."""
    z = [start]
    for i in range(steps):
        z.append(z[-1] + velocity(z[-1], i) / steps)
    return z


@torch.no_grad()
def states(net: IsolatedNetwork, x: Tensor, steps: int, path: Path, seed: int) -> list[Tensor]:
    """Walk from images (N, ...) to labels by a trained network in eval mode: z_0, ..., z_S.

    The mean path starts at zero, the others in noise. DT takes as many steps as it has blocks.
    """
    block = net.local_modules[0]
    if not isinstance(block, NoPropBlock | TimeBlock):
        raise ConfigError("give a network of NoPropBlocks, or of one TimeBlock.")
    with seeded(seed):
        noise = torch.randn(len(x), block.classes).to(x)
        start = 0 * noise if path == "mean" else noise
        if isinstance(block, TimeBlock):
            return block.states(x, start, steps, path)
        blocks = [b for b in net.local_modules if isinstance(b, NoPropBlock)]
        levels = [blocks[0].before, *(b.after for b in blocks)]
        return walk(lambda z, i: blocks[i].estimate(x, z), start, levels, path)


def network(block: TimeBlock) -> IsolatedNetwork:
    """Return the block with a linear head that starts as the identity."""
    head = nn.Linear(block.classes, block.classes)
    nn.init.eye_(head.weight)
    nn.init.zeros_(head.bias)
    return IsolatedNetwork([block], [head])


def nearest(net: IsolatedNetwork, z: Tensor) -> Tensor:
    """Return the class (N,) whose embedding is nearest to z (N, d): the largest of one-hot ones."""
    block = net.local_modules[0]
    if isinstance(block, TimeBlock):
        z = -torch.cdist(z, block.embedding.detach())
    return z.argmax(1)


def ideal(log_p: Tensor, levels: Sequence[float]) -> Estimate:
    """Return E[u_y | z, x], the best û, for one-hot labels and log p(y | x) (N, classes).

    Given y the noise knows nothing of x: p(y | z, x) is p(y | x) N(z; √ᾱ u_y, 1 - ᾱ), normalised.
    """
    pull = [math.sqrt(level) / (1 - level) for level in levels]
    return lambda z, i: (log_p + pull[i] * z).softmax(1)


def ideal_velocity(log_p: Tensor, steps: int) -> Estimate:
    """Return FM's best velocity for one-hot labels, (E[u_y | z, x] - z) / (1 - t), at t = i / S."""
    pull = [(i * steps / (steps - i) ** 2, steps / (steps - i)) for i in range(steps)]
    return lambda z, i: ((log_p + pull[i][0] * z).softmax(1) - z) * pull[i][1]
