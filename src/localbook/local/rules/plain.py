"""Plain local learning: every module minimises its own local loss, all at once."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from localbook.local.rules.base import LocalRule, Signal
from localbook.local.rules.losses import CrossEntropy, LocalLoss, module_loss


@dataclass(frozen=True)
class PlainLocal(LocalRule):
    """Non-greedy local learning without any tie between the modules.

    Each module's graph is freed before the next module runs, so at no time do activations of more
    than one module wait for a backward pass.

    Nøkland and Eidnes, "Training neural networks with local error signals" (2019), with their loss
    "pred" alone; the update of the book's chapter on gradient isolation.
    On a network made by :func:`localbook.local.rules.with_dgl_heads` this is DGL; see there.

    Attributes
    ----------
    loss : LocalLoss
        What every module but the last minimises; the last minimises the cross-entropy.
    """

    loss: LocalLoss = field(default_factory=CrossEntropy)

    @property
    def uses_image(self) -> bool:  # type: ignore[override]
        """Whether its loss does."""
        return self.loss.uses_image

    def step(
        self, module: nn.Module, head: nn.Module, place: tuple[int, int], signal: Signal
    ) -> tuple[Tensor, Signal]:
        """Add one module's gradients; see :class:`localbook.local.rules.LocalRule`."""
        local = module_loss(self.loss, place)
        out = module(signal.x.detach())  # gradient isolation: nothing flows back across this line
        loss = local(head, out, signal.y, signal.image) / len(signal.y)
        torch.autograd.backward(loss)
        return loss.detach(), replace(signal, x=out.detach())
