"""Agreement of predictions: each module's answer is drawn to that of the module before it."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.rules.base import LocalRule, Signal


@dataclass(frozen=True)
class SID(LocalRule):
    r"""Synergistic information distillation: cross-entropy, and agreement with the predecessor.

    With p_l the class probabilities of head l, module l >= 2 minimises, over the batch,

    .. math::

        (1 - \alpha)\, \ell_l + \alpha\, \mathrm{KL}(\mathrm{sg}\, p_{l-1} \,\|\, p_l) ,

    where sg stops the gradient. Ye and Tang, "Learning without global backpropagation via
    synergistic information distillation" (arXiv 2510.03273, 2025). There a uniform distribution
    stands before module 1; here module 1 has the cross-entropy alone, so that its path is that of
    plain local learning, as under SGR. SGR asks for agreement of gradients; this is the agreement
    of what they are gradients of, by first derivatives alone.

    Attributes
    ----------
    share : float
        α, at least 0 and less than 1.

    Raises
    ------
    ConfigError
        If the share is out of its range.
    """

    uses_image = False

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ConfigError(f"the share of agreement α={self.share} must be in [0, 1).")

    def step(
        self, module: nn.Module, head: nn.Module, place: tuple[int, int], signal: Signal
    ) -> tuple[Tensor, Signal]:
        """Add one module's gradients; see :class:`localbook.local.rules.LocalRule`."""
        out = module(signal.x.detach())
        scores = head(out)
        total = loss = F.cross_entropy(scores, signal.y, reduction="sum") / len(scores)
        if signal.scores is not None:
            if signal.scores.shape != scores.shape:
                raise ConfigError(
                    f"heads {place[0]} and {place[0] + 1} give {signal.scores.shape[1]} and "
                    f"{scores.shape[1]} classes; SID compares predictions, so give all the same."
                )
            before = signal.scores.softmax(1)
            gap = F.kl_div(scores.log_softmax(1), before, reduction="batchmean")
            total = (1 - self.share) * loss + self.share * gap
        torch.autograd.backward(total)
        return loss.detach(), replace(signal, x=out.detach(), scores=scores.detach())
