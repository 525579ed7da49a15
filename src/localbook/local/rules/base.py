"""What every learning rule has in common."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from localbook.local.network import IsolatedNetwork


class Rule(Protocol):
    """A way to compute gradients."""

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add this batch's gradients to ``.grad`` of every parameter the rule trains.

        Parameters
        ----------
        net : IsolatedNetwork
        x : float tensor, shape (N, C, H, W)
        y : int64 tensor, shape (N,)

        Returns
        -------
        Tensor, shape (L,)
            Each module's mean local loss, detached: the cross-entropy of its head, unless the rule
            says otherwise.
        """
        ...


@runtime_checkable
class Scheduled(Protocol):
    """A rule that changes during training."""

    def at(self, progress: float) -> Rule:
        """Return the rule to use when a share of training, 0 <= progress < 1, is over."""
        ...
