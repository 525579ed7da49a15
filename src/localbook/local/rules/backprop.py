"""Back-propagation, the baseline, and with gradient checkpointing the honest one of memory."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.local.networks import IsolatedNetwork, RandomState, buffers_of, call_again, explained
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
        with explained(net, x, y):
            for depth, (module, head) in enumerate(net.pairs(), start=1):
                x = module(x)
                seen = x if depth == len(net) else x.detach()
                losses.append(F.cross_entropy(head(seen), y))
        total = torch.stack(losses)
        torch.autograd.backward(total.sum())
        return total.detach()


@dataclass(frozen=True)
class CheckpointedBP(Rule):
    """Back-propagation that keeps only the modules' inputs and computes the rest again.

    Gradients, buffers and random numbers are those of :class:`localbook.local.rules.BP`: the second
    pass through a module repeats its dropout masks, starts from the same buffers and leaves them
    alone. The last module runs once only, for its backward pass follows at once. The other heads
    are trained on detached activations, as under BP. The idea is that of Chen et al., "Training
    deep nets with sublinear memory cost" (2016).
    """

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`."""
        losses = []
        anchor = torch.zeros((), device=x.device, requires_grad=True)
        for depth, (module, head) in enumerate(net.pairs(), start=1):
            last = depth == len(net)
            x = module(x) if last else _ComputedTwice.apply(module, x, anchor)
            loss = F.cross_entropy(head(x if last else x.detach()), y)
            torch.autograd.backward(loss)
            losses.append(loss.detach())
        return torch.stack(losses)


class _ComputedTwice(torch.autograd.Function):
    """A module that keeps its input for the backward pass and computes everything else again."""

    @staticmethod
    def forward(ctx: Any, module: nn.Module, x: Tensor, anchor: Tensor) -> Tensor:
        """Run the module; ``anchor`` requires grad, so that the backward pass comes here."""
        ctx.module, ctx.state, ctx.buffers = module, RandomState.now(x.device), buffers_of(module)
        ctx.mixed = torch.is_autocast_enabled(x.device.type)
        ctx.save_for_backward(x)
        # Older PyTorch would keep the casts of this pass, which have no gradient, for the second.
        with torch.autocast(x.device.type, torch.bfloat16, enabled=ctx.mixed, cache_enabled=False):
            out: Tensor = module(x)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, None]:
        """Run the module again and add to its parameters' gradients."""
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_(ctx.needs_input_grad[1])
        # The engine runs this on a thread of its own, which need not know of autocast.
        precision = torch.autocast(x.device.type, torch.bfloat16, enabled=ctx.mixed)
        with torch.enable_grad(), precision, ctx.state.again():
            out = call_again(ctx.module, {}, x, ctx.buffers)
        torch.autograd.backward(out, grads[0])
        return None, x.grad, None
