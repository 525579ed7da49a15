"""Plain local learning: every module minimises its own local loss, all at once."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from localbook.local.network import IsolatedNetwork
from localbook.local.rules.losses import CrossEntropy, LocalLoss, module_losses


@dataclass(frozen=True)
class PlainLocal:
    """Non-greedy local learning without any tie between the modules.

    Each module's graph is freed before the next module runs, so at no time do activations of more
    than one module wait for a backward pass.

    On a network made by :func:`localbook.local.rules.with_dgl_heads` this is DGL; see there.

    Attributes
    ----------
    loss : LocalLoss
        What every module but the last minimises; the last minimises the cross-entropy.
    """

    loss: LocalLoss = field(default_factory=CrossEntropy)

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`."""
        image, locals_ = x, module_losses(self.loss, len(net))
        losses = []
        for (module, head), local in zip(net.pairs(), locals_, strict=True):
            x = module(x.detach())  # gradient isolation: nothing flows back across this line
            loss = local(head, x, y, image) / len(y)
            torch.autograd.backward(loss)
            losses.append(loss.detach())
        return torch.stack(losses)
