"""Greedy stage-wise learning: one module after the other."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks import IsolatedNetwork, explained
from localbook.local.rules.base import Rule
from localbook.local.rules.losses import CrossEntropy, LocalLoss, module_loss


@dataclass(frozen=True)
class Greedy(Rule):
    """Local learning in which, at any time, one module and its head are trained.

    The L modules share training equally: module l is trained while the share of training that is
    over lies in [(l - 1)/L, l/L). Those before it are finished, those after it have not begun; both
    run in eval mode and get no gradient, so that an optimiser leaves them alone, weight decay
    included. A learning rate that decays should do so in each stage: train with a
    :class:`localbook.local.Schedule` of L cycles.

    Bengio et al., "Greedy layer-wise training of deep networks" (2006), with the supervised loss of
    Belilovsky et al., "Greedy layerwise learning can scale to ImageNet" (2019).

    Attributes
    ----------
    progress : float
        The share of training that is over, from 0 to 1; see :meth:`at`.
    loss : LocalLoss
        What every module but the last minimises; the last minimises the cross-entropy.

    Raises
    ------
    ConfigError
        If ``progress`` is not between 0 and 1.
    """

    progress: float
    loss: LocalLoss = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        if not 0 <= self.progress <= 1:
            raise ConfigError(f"the progress of training, {self.progress}, must be from 0 to 1.")

    def at(self, progress: float) -> "Greedy":
        """Return the rule for when a share of training is over."""
        return replace(self, progress=progress)

    def cycles(self, modules: int) -> int:
        """Return how many stages there are: one for each module."""
        return modules

    def stage(self, modules: int) -> int:
        """Return which of so many modules is trained now, counted from 0."""
        # The margin is for progress = l/L: 1/49 * 49 is a little less than 1.
        return min(int(self.progress * modules + 1e-9), modules - 1)

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`."""
        image = x
        active = self.stage(len(net))
        losses = []
        with explained(net, image, y):
            for number, (module, head) in enumerate(net.pairs()):
                local = module_loss(self.loss, (number, len(net)))
                with nullcontext() if number == active else _at_rest(module, head):
                    x = module(x.detach())
                    loss = local(head, x, y, image) / len(y)
                if number == active:
                    torch.autograd.backward(loss)
                losses.append(loss.detach())
        return torch.stack(losses)


@contextmanager
def _at_rest(*modules: nn.Module) -> Iterator[None]:
    with evaluating(*modules), torch.no_grad():
        yield
