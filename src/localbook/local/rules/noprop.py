"""NoProp in discrete time: each module learns, alone, to take some noise off a label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating, seeded
from localbook.local.networks import IsolatedNetwork
from localbook.local.rules.base import Rule
from localbook.local.rules.targets import onehot


@dataclass(frozen=True)
class NoProp(Rule):
    r"""Denoising of label embeddings, without a pass through the network either way.

    Module t gets the image x and z_{t-1}, the label's embedding u_y under noise; it guesses
    û_t(z_{t-1}, x) and minimises, for z_{t-1} drawn from its distribution given y,

    .. math::

        \tfrac{\eta}{2} \| \hat u_t(z_{t-1}, x) - u_y \|^2 .

    The paper multiplies this by SNR(t) - SNR(t - 1), where SNR(t) = ᾱ_t / (1 - ᾱ_t). As modules
    share no parameters, that only sets their step sizes apart, some 600 times from the first of six
    to the last: Adam undoes it, and under SGD no learning rate suits them all. So it is left out.

    Li, Teh and Pascanu, "NoProp: training neural networks without back-propagation or
    forward-propagation" (2025), arXiv:2503.24322, with fixed one-hot embeddings, for which the
    Kullback-Leibler term is constant. Our reconstruction: the noise schedule, and classification
    along the mean path, from z_0 = 0 and without fresh noise, where the paper's sampler starts
    from noise and adds some in every step.

    NoProp does not train any given chain of modules: its modules read the image beside the state
    of the chain, and in training no module sees another's output. The smallest extension that fits
    is a network of :class:`NoPropBlock` that pass both on; build it by :func:`noprop_network`. The
    noise comes from torch's global random state, as dropout's masks do.

    Attributes
    ----------
    scale : float
        η.

    Raises
    ------
    ConfigError
        If the scale is not positive.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise ConfigError(f"NoProp's scale η={self.scale} must be a positive number.")

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch.

        Head t learns to read the label from z_t under its noise, which the last head does in the
        paper.

        Returns
        -------
        Tensor, shape (L,)
            The mean loss above of each module, detached. The heads' cross-entropies on noisy
            labels would say nothing about the network.

        Raises
        ------
        ConfigError
            If a module is not a :class:`NoPropBlock`.
        """
        losses = []
        for number, (block, head) in enumerate(net.pairs(), start=1):
            if not isinstance(block, NoPropBlock):
                raise ConfigError(
                    f"module {number} is not a NoPropBlock; NoProp trains only networks built by "
                    "noprop_network."
                )
            label = onehot(y, block.classes).to(x)
            z = noisy(label, block.before)
            made = block(with_label(x, z))[:, -block.classes :]
            # The block gives a û + b z, so this is û - u.
            error = (made - block.b * z) / block.a - label
            loss = 0.5 * self.scale * error.square().sum(1).mean()
            read = F.cross_entropy(head(with_label(x, noisy(label, block.after))), y)
            torch.autograd.backward(loss + read)
            losses.append(loss.detach())
        return torch.stack(losses)


class NoPropBlock(nn.Module):
    """One step of denoising, z' = a û(z, x) + b z, on the image and the noisy label together.

    Parameters
    ----------
    trunk : nn.Module
        From images (N, ...) to features (N, D).
    features : int
        D.
    shape : torch.Size
        Of one image.
    classes : int
    before, after : float
        ᾱ of the label it gets and of the one it gives.
    """

    def __init__(
        self,
        trunk: nn.Module,
        features: int,
        shape: torch.Size,
        classes: int,
        before: float,
        after: float,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.embed = nn.Linear(classes, features)
        self.guess = nn.Sequential(nn.ReLU(), nn.Linear(2 * features, classes))
        self.shape, self.classes = shape, classes
        self.before, self.after = before, after
        self.a, self.b, self.c = noprop_posterior(before, after)

    def estimate(self, image: Tensor, z: Tensor) -> Tensor:
        """Return û (N, classes) of images (N, ...) and noisy labels (N, classes)."""
        both = torch.cat([self.trunk(image), self.embed(z)], 1)  # (N, 2D)
        guess: Tensor = self.guess(both).softmax(1)
        return guess

    def forward(self, state: Tensor) -> Tensor:
        """Map images (N, ...), or their state (N, pixels + classes), to the next state."""
        if state.shape[1:] == self.shape:
            state = with_label(state, state.new_zeros(len(state), self.classes))
        z = state[:, -self.classes :]
        image = state[:, : -self.classes].reshape(-1, *self.shape)
        return with_label(image, self.a * self.estimate(image, z) + self.b * z)


class LabelReader(nn.Module):
    """A linear classifier of the noisy label in a state (N, pixels + classes).

    It starts as the identity, so that from the first step on it reads the largest coordinate; from
    random weights it needs about a thousand steps, in which the network seems to know nothing.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(classes, classes)
        nn.init.eye_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, state: Tensor) -> Tensor:
        """Return class scores (N, classes)."""
        scores: Tensor = self.linear(state[:, -self.linear.in_features :])
        return scores


def noprop_network(
    trunks: Sequence[nn.Module], example: Tensor, classes: int, *, seed: int
) -> IsolatedNetwork:
    """Return a network of one :class:`NoPropBlock` for each trunk.

    Parameters
    ----------
    trunks : sequence of nn.Module
        Each from images to features (N, D).
    example : float tensor, shape (N, ...)
        Images; only their shape matters.
    classes : int
    seed : int
        Of what is beside the trunks. The global random state is not touched.

    Raises
    ------
    ConfigError
        If there is no trunk, or one does not give features (N, D).
    """
    blocks = []
    levels = schedule(len(trunks))
    with seeded(seed):
        for number, trunk in enumerate(trunks):
            with evaluating(trunk), torch.no_grad():
                features = trunk(example)
            if features.ndim != 2:
                raise ConfigError(
                    f"trunk {number + 1} gives shape {tuple(features.shape)}, not features (N, D); "
                    "end it by pooling or nn.Flatten."
                )
            form = (features.shape[1], example.shape[1:], classes)
            block = NoPropBlock(trunk, *form, levels[number], levels[number + 1])
            blocks.append(block.to(example))
        return IsolatedNetwork(blocks, [LabelReader(classes).to(example) for _ in blocks])


def schedule(steps: int) -> list[float]:
    """Return ᾱ_0, ..., ᾱ_T: how much of the label's square is signal, rising along a sine."""
    return [math.sin(math.pi / 2 * (t + 0.5) / (steps + 1)) ** 2 for t in range(steps + 1)]


def noprop_posterior(before: float, after: float) -> tuple[float, float, float]:
    """Return a, b, c of one step: given u_y and z_{t-1}, z_t is N(a u_y + b z_{t-1}, c I).

    Parameters
    ----------
    before, after : float
        ᾱ_{t-1} and ᾱ_t, how much of the label's square is signal: 0 <= before <= after < 1.

    Returns
    -------
    tuple of float
        a and b of the mean, and c, the variance of each coordinate.

    Raises
    ------
    ConfigError
        If the shares fall, or the last is 0 or 1.

    Examples
    --------
    >>> from localbook import local
    >>> a, b, c = local.noprop_posterior(0.0, 0.36)
    >>> round(a, 3), round(b, 3), round(c, 3)
    (0.6, 0.0, 0.64)
    """
    if not (0 <= before <= after < 1 and after > 0):
        raise ConfigError(f"the signal's shares {before}, {after} must not fall, and lie below 1.")
    kept = before / after  # α: the share of the signal that one step of noising keeps
    a = math.sqrt(after) * (1 - kept) / (1 - before)
    b = math.sqrt(kept) * (1 - after) / (1 - before)
    return a, b, (1 - after) * (1 - kept) / (1 - before)


def noisy(label: Tensor, level: float) -> Tensor:
    """Return label embeddings (N, classes) under noise, of which a share ``level`` is signal."""
    return math.sqrt(level) * label + math.sqrt(1 - level) * torch.randn_like(label)


def with_label(image: Tensor, z: Tensor) -> Tensor:
    """Return images (N, ...) and noisy labels (N, classes) as one state (N, pixels + classes)."""
    return torch.cat([image.flatten(1), z], 1)
