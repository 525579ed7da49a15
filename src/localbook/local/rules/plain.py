"""Plain local learning: every module minimises its own head's loss, all at once."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from localbook.local.network import IsolatedNetwork


@dataclass(frozen=True)
class PlainLocal:
    """Non-greedy local learning without any tie between the modules.

    Each module's graph is freed before the next module runs, so at no time do activations of more
    than one module wait for a backward pass.
    """

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`."""
        losses = []
        for module, head in net.pairs():
            x = module(x.detach())  # gradient isolation: nothing flows back across this line
            loss = F.cross_entropy(head(x), y)
            torch.autograd.backward(loss)
            losses.append(loss.detach())
        return torch.stack(losses)
