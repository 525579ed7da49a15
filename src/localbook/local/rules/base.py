"""What every learning rule has in common, and what it answers when others ask."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local.networks import IsolatedNetwork, explained
from localbook.local.rules.losses import CrossEntropy, LocalLoss


class Rule:
    """A way to compute gradients: the class that a learning rule inherits from.

    A rule of your own needs :meth:`gradients`; where what it does differs from the defaults below,
    it says so.

    Attributes
    ----------
    loss : LocalLoss
        What every module but the last minimises, as far as the rule has local losses: the
        cross-entropy.
    by_hand : bool
        Whether it goes through the layers itself, so that there is nothing to compile. False.
    hides_saved_tensors : bool
        Whether it differentiates by ``torch.func``, which saved-tensor hooks do not see. False.
    compiles_steps : bool
        Whether the rule that :meth:`compiled` returns compiles whole steps, so that the modules
        are left as they are. False.
    classifies : bool
        Whether :meth:`scores` are not those of the last head. False.
    local : bool
        Whether it has :meth:`LocalRule.step` now, which needs one module at a time. False.
    uses_image : bool
        Whether its steps look at the image, which then has to travel with the activation. False,
        and True for a :class:`LocalRule`.
    """

    loss: LocalLoss = CrossEntropy()
    by_hand: bool = False
    hides_saved_tensors: bool = False
    compiles_steps: bool = False
    classifies: bool = False
    local: bool = False
    uses_image: bool = False

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add this batch's gradients to ``.grad`` of every parameter the rule trains.

        Parameters
        ----------
        net : IsolatedNetwork
        x : float tensor, shape (N, C, H, W)
        y : int64 tensor, shape (N,), or float tensor, shape (N, classes)
            Labels or soft targets.

        Returns
        -------
        Tensor, shape (L,)
            Each module's mean local loss, detached: the cross-entropy of its head, unless the rule
            says otherwise.
        """
        raise NotImplementedError(f"the rule {type(self).__name__} has no method gradients.")

    def at(self, progress: float) -> "Rule":
        """Return the rule to use when a share of training, 0 <= progress < 1, is over."""
        return self

    def compiled(self, backend: str) -> "Rule":
        """Return the same rule, compiled by a backend of torch.compile where it has own steps."""
        return self

    def cycles(self, modules: int) -> int:
        """Return in how many stages a network of so many modules is trained."""
        return 1

    def shares(self, modules: int) -> tuple[float, ...]:
        """Return the shares of memory by which to :func:`localbook.local.split` for this rule."""
        return (1.0,) * modules

    def scores(self, net: IsolatedNetwork, x: Tensor) -> Tensor:
        """Return the class scores (N, classes) that the rule's own classifier gives to images."""
        scores: Tensor = net(x)
        return scores


def check_rule(rule: Rule) -> None:
    """Refuse what does not answer as a rule does.

    Raises
    ------
    ConfigError
    """
    if isinstance(rule, type):
        raise ConfigError(f"{rule.__name__} is a class; give a rule made of it: {rule.__name__}().")
    if not callable(getattr(rule, "compiled", None)):
        raise ConfigError(
            f"{type(rule).__name__} is no learning rule; let its class inherit from "
            "localbook.local.Rule."
        )


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
    scores : float tensor, shape (N, classes), or None
        The class scores of the module's head, for rules that compare predictions.
    """

    x: Tensor
    y: Tensor
    image: Tensor
    delta: Tensor | None = None
    scores: Tensor | None = None


class LocalRule(Rule):
    """A rule that needs to see one module at a time, and nothing of those after it."""

    local = True
    uses_image = True

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Take the step in every module, from the input on; see :meth:`Rule.gradients`."""
        signal = Signal(x, y, x)
        losses = []
        with explained(net, x, y):
            for number, (module, head) in enumerate(net.pairs()):
                loss, signal = self.step(module, head, (number, len(net)), signal)
                losses.append(loss)
        return torch.stack(losses)

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
        raise NotImplementedError(f"the rule {type(self).__name__} has no method step.")
