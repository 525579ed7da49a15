"""What a rule gives a network."""

import copy

import torch
from torch import Tensor

from localbook.local import IsolatedNetwork, Rule


def gradient(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return the gradients that a rule finds, on a copy of the network."""
    net = copy.deepcopy(net)
    torch.manual_seed(0)
    rule.gradients(net, x, y)
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
