"""What every learning rule has in common."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from localbook.local.networks import IsolatedNetwork


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


@dataclass(frozen=True)
class Signal:
    """What a module hands on: all that a local rule lets the next one know of those before it.

    Attributes
    ----------
    x : float tensor, shape (N, ...)
        The module's output, detached; for the first module, the images.
    y : tensor, shape (N,) or (N, classes)
        Labels or soft targets.
    image : float tensor, shape (N, ...)
        What the network was given.
    delta : float tensor, shape (N, ...), or None
        The per-sample gradient of the module's loss at its output, for rules that reconcile.
    """

    x: Tensor
    y: Tensor
    image: Tensor
    delta: Tensor | None = None


@runtime_checkable
class LocalRule(Rule, Protocol):
    """A rule that needs to see one module at a time, and nothing of those after it."""

    def step(
        self, module: nn.Module, head: nn.Module, place: tuple[int, int], signal: Signal
    ) -> tuple[Tensor, Signal]:
        """Add one module's gradients; return its mean local loss and what it hands on.

        Parameters
        ----------
        module, head : nn.Module
        place : (int, int)
            The module's number, from 0, and how many there are.
        signal : Signal
            What the module before handed on.
        """
        ...


def successively(rule: LocalRule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
    """Let a local rule take its step in every module, from the input on; return the losses (L,)."""
    signal = Signal(x, y, x)
    losses = []
    for number, (module, head) in enumerate(net.pairs()):
        loss, signal = rule.step(module, head, (number, len(net)), signal)
        losses.append(loss)
    return torch.stack(losses)


@runtime_checkable
class Scheduled(Protocol):
    """A rule that changes during training."""

    def at(self, progress: float) -> Rule:
        """Return the rule to use when a share of training, 0 <= progress < 1, is over."""
        ...
