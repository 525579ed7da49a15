"""A module as a chain of the smallest blocks between which one tensor passes."""

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks.isolated import IsolatedNetwork
from localbook.local.networks.replay import buffers_of
from localbook.local.networks.split import Inspection, between_layers, parts


class Chain(nn.Sequential):
    """A module that is known to be a chain of blocks."""


def blocks(model: nn.Module, example: Tensor) -> tuple[nn.Module, ...]:
    """Cut a model between all of its layers where one tensor passes, as :func:`split` does.

    Parameters
    ----------
    model : nn.Module
        Takes one tensor and returns one tensor; one that cannot be traced is a single block.
    example : float tensor, shape (N, ...)
        Only its shape matters.

    Returns
    -------
    tuple of nn.Module
        They share their parameters and buffers with the model, and one after the other compute
        what it computes.
    """
    if isinstance(model, Chain):
        return tuple(model)
    before = buffers_of(model)
    devices = [example.device] if example.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):  # a look leaves no trace
            look = Inspection.of(model, example)
    except ConfigError:
        return (model,)
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
    chosen = between_layers(look)
    if not chosen:
        return (model,)
    return tuple(parts(model, look, chosen))


def in_blocks(net: IsolatedNetwork, example: Tensor) -> IsolatedNetwork:
    """Return a network of the same modules, each written as a :class:`Chain` of its blocks.

    Parameters
    ----------
    net : IsolatedNetwork
        Its parameters and heads are shared with the network returned.
    example : float tensor, shape (N, ...)
        Images; only their shape matters.
    """
    chains = []
    x = example
    with torch.no_grad(), evaluating(net):
        for module in net.local_modules:
            chains.append(Chain(*blocks(module, x)))
            x = module(x)
    return IsolatedNetwork(chains, list(net.heads)).train(net.training)
