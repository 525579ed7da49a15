"""A network as a chain of gradient-isolated modules, each with an auxiliary head."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import seeded


class IsolatedNetwork(nn.Module):
    """Modules f_1, ..., f_L and their auxiliary heads.

    Module l computes x_l = f_l(x_{l-1}); head l turns x_l into class scores, from which the local
    loss of module l is taken. How gradients flow is not decided here but by the rule that trains
    the network (see :mod:`localbook.local.rules`).

    Parameters
    ----------
    modules : sequence of nn.Module
    heads : sequence of nn.Module
        One for each module; the last one is the network's own classifier.

    Raises
    ------
    ConfigError
        If there are no modules, or not one head for each.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> stages = [torch.nn.Linear(4, 6), torch.nn.Linear(6, 6)]
    >>> net = local.IsolatedNetwork(stages, heads=[torch.nn.Linear(6, 3), torch.nn.Linear(6, 3)])
    >>> x, y = torch.zeros(5, 4), torch.zeros(5, dtype=torch.int64)
    >>> _ = local.PlainLocal().gradients(net, x, y)
    >>> all(weight.grad is not None for weight in net.parameters())
    True
    """

    def __init__(self, modules: Sequence[nn.Module], heads: Sequence[nn.Module]) -> None:
        super().__init__()
        if not modules or len(modules) != len(heads):
            raise ConfigError(
                f"{len(modules)} modules with {len(heads)} heads: "
                "give at least one module and exactly one head for each."
            )
        self.local_modules = nn.ModuleList(modules)
        self.heads = nn.ModuleList(heads)

    def __len__(self) -> int:
        return len(self.local_modules)

    def pairs(self) -> Iterator[tuple[nn.Module, nn.Module]]:
        """Yield (module, head) from the input to the output."""
        return zip(self.local_modules, self.heads, strict=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the class scores (N, classes) of the last head."""
        for module in self.local_modules:
            x = module(x)
        scores: Tensor = self.heads[-1](x)
        return scores

    def all_scores(self, x: Tensor) -> list[Tensor]:
        """Return the class scores (N, classes) of every head, first module first."""
        scores = []
        for module, head in self.pairs():
            x = module(x)
            scores.append(head(x))
        return scores


def linear_head(channels: int, classes: int) -> nn.Module:
    """Return a head that averages over positions and classifies linearly."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


@dataclass(frozen=True)
class ConvNet:
    """A plain convolutional network, one convolution a module.

    Attributes
    ----------
    widths : tuple of int
        Output channels of each module.
    strides : tuple of int
        Stride of each module's convolution.
    norm : {"batch", "group", "none"}
        What stands between convolution and ReLU; without any the convolution has a bias. GroupNorm,
        which ties no samples together, has eight groups where they divide the channels.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> net = local.ConvNet(widths=(8, 16), strides=(1, 2)).build(in_channels=1, classes=10, seed=0)
    >>> [tuple(scores.shape) for scores in net.all_scores(torch.zeros(5, 1, 8, 8))]
    [(5, 10), (5, 10)]
    """

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    norm: Literal["batch", "group", "none"] = "batch"

    def build(self, in_channels: int, classes: int, seed: int) -> IsolatedNetwork:
        """Return the network with seeded weights, without touching the global random state.

        Raises
        ------
        ConfigError
            If there is not one stride for each width, or no such norm.
        """
        if not self.widths or len(self.widths) != len(self.strides):
            raise ConfigError(
                f"{len(self.widths)} widths and {len(self.strides)} strides; give one of each for "
                "every module, and at least one module."
            )
        if self.norm not in ("batch", "group", "none"):
            raise ConfigError(f"there is no norm {self.norm!r}; choose from: batch, group, none.")
        with seeded(seed):
            channels = (in_channels, *self.widths[:-1])
            modules = [
                nn.Sequential(
                    nn.Conv2d(c, width, 3, stride, padding=1, bias=self.norm == "none"),
                    *_norm(self.norm, width),
                    nn.ReLU(),
                )
                for c, width, stride in zip(channels, self.widths, self.strides, strict=True)
            ]
            return IsolatedNetwork(modules, [linear_head(w, classes) for w in self.widths])


def _norm(name: str, channels: int) -> list[nn.Module]:
    if name == "none":
        return []
    group = nn.GroupNorm(math.gcd(8, channels), channels)
    return [nn.BatchNorm2d(channels) if name == "batch" else group]
