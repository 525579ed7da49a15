"""Back-propagation, the baseline."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from localbook.local.networks import IsolatedNetwork
from localbook.local.rules.base import Rule


@dataclass(frozen=True)
class BP(Rule):
    """Back-propagation of the last head's loss through the whole network.

    The other heads are trained too, but on detached activations: they are linear probes that show
    what each depth has learned and change nothing in the modules.
    """

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`."""
        losses = []
        for depth, (module, head) in enumerate(net.pairs(), start=1):
            x = module(x)
            seen = x if depth == len(net) else x.detach()
            losses.append(F.cross_entropy(head(seen), y))
        total = torch.stack(losses)
        torch.autograd.backward(total.sum())
        return total.detach()
