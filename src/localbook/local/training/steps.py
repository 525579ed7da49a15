"""An epoch's steps as one process takes them: for a whole network, or for one of its modules."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from localbook.local.networks import IsolatedNetwork
from localbook.local.training.batches import epoch_seed
from localbook.local.training.ranks import Ranks
from localbook.local.training.schedule import Schedule, set_rate

Batch = TypeVar("Batch")
_CHECK_EVERY = 50  # steps: often enough to stop soon, seldom enough not to wait for a GPU


class NotFiniteError(Exception):
    """What is no longer a number, and the number of its module, from 0."""

    def __init__(self, what: str, module: int) -> None:
        super().__init__(what, module)
        self.what, self.module = what, module


def process_seed(seed: int, epoch: int, rank: int) -> int:
    """Return the seed of what a process draws in an epoch, such as dropout's masks.

    Mixed to 32 bits, for torch's generator on a CPU keeps no more; process 0 draws what a process
    alone does.
    """
    if rank == 0:
        return epoch_seed(seed, epoch)
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])


@dataclass(frozen=True)
class Steps:
    """What an epoch's steps change, and how.

    Attributes
    ----------
    net : IsolatedNetwork
        Whose weights are trained.
    average : AveragedModel or None
        Their moving average, if there is one.
    optimiser : torch.optim.Optimizer
    schedule : Schedule
    seed : int
    count : int
        Steps in an epoch.
    ranks : Ranks
        The processes that share every batch.
    process : int
        The number of this one among all, from 0.
    """

    net: IsolatedNetwork
    average: AveragedModel | None
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    seed: int
    count: int
    ranks: Ranks
    process: int

    def epoch(
        self, epoch: int, batches: Iterable[Batch], gradients: Callable[[Batch], Tensor]
    ) -> Tensor:
        """Take the steps of an epoch, from 1; return the mean loss of each module, shape (L,).

        ``gradients`` adds a batch's gradients to ``.grad`` and returns the modules' losses (L,).
        """
        device = next(self.net.parameters()).device
        total = torch.zeros(len(self.net), device=device)
        self.net.train()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(process_seed(self.seed, epoch, self.process))
            for step, batch in enumerate(batches, start=1):
                whole = (epoch - 1) * self.count + step - 1
                set_rate(self.optimiser, self.schedule, whole, self.schedule.epochs * self.count)
                self.optimiser.zero_grad(set_to_none=True)
                total += gradients(batch)
                self._update()
                if step % _CHECK_EVERY == 0 or step == self.count:
                    self.ranks.average([total])  # so that all processes stop together
                    _check_losses(total)
        buffers = [*self.net.buffers(), *(self.average.buffers() if self.average else ())]
        self.ranks.average(b for b in buffers if b.is_floating_point())
        _check_weights(self.net)
        return total / self.count

    def _update(self) -> None:
        self.ranks.average(p.grad for p in self.net.parameters() if p.grad is not None)
        if self.schedule.clip:
            for pair in self.net.pairs():
                own = [p for part in pair for p in part.parameters()]
                nn.utils.clip_grad_norm_(own, self.schedule.clip)
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.net)


def _check_losses(losses: Tensor) -> None:
    broken = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
    if broken:
        raise NotFiniteError("the loss", broken[0])


def _check_weights(net: IsolatedNetwork) -> None:
    """Raise on broken weights: the last step of an epoch makes some that no loss has seen."""
    for number, pair in enumerate(net.pairs()):
        values = [v for part in pair for v in part.state_dict().values() if v.is_floating_point()]
        if not all(bool(torch.isfinite(value).all()) for value in values):
            raise NotFiniteError("a weight", number)
