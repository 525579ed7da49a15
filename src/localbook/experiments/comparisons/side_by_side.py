"""Networks of one form side by side in one: small ones train many times as fast together.

The channels of network s are block s of the joint one's, layers are block-diagonal, and scores come
as (N, classes, S), labels as (N, S). A loss summed over samples and networks has each network's own
gradients, and so has a penalty that is a mean over samples, so that any rule that takes such sums
trains all of them at once and none knows of another.
"""

from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import cast

import torch
from torch import Tensor, nn

from localbook.local import IsolatedNetwork
from localbook.local.networks import FixedLinear


class Linears(nn.Module):
    """So many linear layers, each of its own block of features."""

    weight: Tensor

    def __init__(self, count: int, inputs: int, outputs: int, *, bias: bool, trained: bool) -> None:
        super().__init__()
        weight = torch.empty(count * outputs, inputs)
        if trained:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)
        if bias:
            self.bias = nn.Parameter(torch.empty(count * outputs))
        self.count, self.with_bias = count, bias

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, count · inputs) to (N, count · outputs)."""
        blocks = x.view(len(x), self.count, -1).transpose(0, 1)  # (S, N, inputs)
        weights = self.weight.view(self.count, -1, blocks.shape[2])  # (S, outputs, inputs)
        out = torch.bmm(blocks, weights.transpose(1, 2)).transpose(0, 1).flatten(1)
        return out + self.bias if self.with_bias else out


class Answers(nn.Module):
    """Turn scores (N, count · classes) into (N, classes, count)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of each network in a column of its own."""
        return x.view(len(x), self.count, -1).transpose(1, 2)


@singledispatch
def wider(layer: nn.Module, count: int) -> nn.Module:
    """Return a layer of so many side by side; one without channels stays as it is."""
    return layer


@wider.register
def _(layer: nn.Sequential, count: int) -> nn.Module:
    return nn.Sequential(*(wider(part, count) for part in layer))


@wider.register
def _(layer: nn.Linear, count: int) -> nn.Module:
    return Linears(count, layer.in_features, layer.out_features, bias=True, trained=True)


@wider.register
def _(layer: FixedLinear, count: int) -> nn.Module:
    outputs, inputs = layer.weight.shape
    return Linears(count, inputs, outputs, bias=False, trained=False)


@wider.register
def _(layer: nn.Conv2d, count: int) -> nn.Module:
    channels = (count * layer.in_channels, count * layer.out_channels)
    return nn.Conv2d(*channels, 3, layer.stride[0], padding=1, groups=count)


@wider.register
def _(layer: nn.modules.batchnorm._BatchNorm, count: int) -> nn.Module:
    return type(layer)(count * layer.num_features)


@wider.register
def _(layer: nn.GroupNorm, count: int) -> nn.Module:
    return nn.GroupNorm(count * layer.num_groups, count * layer.num_channels)


def joined(nets: Sequence[IsolatedNetwork]) -> IsolatedNetwork:
    """Return networks of one form as one, with copies of their weights."""
    count, first = len(nets), nets[0]
    known: dict[int, nn.Module] = {}  # a head that all modules share stays one
    heads = [
        known.setdefault(id(head), nn.Sequential(wider(head, count), Answers(count)))
        for head in first.heads
    ]
    joint = IsolatedNetwork([wider(module, count) for module in first.local_modules], heads)
    with torch.no_grad():
        for all_of_them, parts in _states(joint, nets):
            all_of_them.copy_(torch.cat(parts) if all_of_them.ndim else parts[0])
    return joint


@torch.no_grad()
def hand_back(joint: IsolatedNetwork, nets: Sequence[IsolatedNetwork]) -> None:
    """Copy what the joint network has learned into the single ones."""
    for all_of_them, parts in _states(joint, nets):
        blocks = all_of_them.chunk(len(nets)) if all_of_them.ndim else [all_of_them] * len(nets)
        for part, block in zip(parts, blocks, strict=True):
            part.copy_(block)


def _states(
    joint: IsolatedNetwork, nets: Sequence[IsolatedNetwork]
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Yield every weight and buffer of the joint network, with those of the single ones."""
    for one in zip(*(_own(net) for net in (joint, *nets)), strict=True):
        yield one[0], cast(list[Tensor], list(one[1:]))


def _own(net: nn.Module) -> list[Tensor]:
    """Return a network's weights and buffers, layer by layer: weight, bias, statistics."""
    names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return [
        tensor
        for layer in net.modules()
        for name in names
        if isinstance(tensor := getattr(layer, name, None), Tensor)
    ]
