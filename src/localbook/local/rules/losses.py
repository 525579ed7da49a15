"""What a module minimises: local losses, and the auxiliary parts that some of them need.

A rule owns no parameters. What a loss trains beside the classifier (a decoder, a projection)
belongs to the module's head, so that optimiser, checkpoint and copies of the network see it like
any other part, and :func:`equip` puts it there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating, seeded
from localbook.local.networks import IsolatedNetwork


class LocalLoss:
    """A loss of one module, taken from its output alone: the class that a local loss inherits from.

    Attributes
    ----------
    uses_image : bool
        Whether it looks at the image, which then has to travel with the activation. True.
    ties_samples : bool
        Whether one sample's part of it depends on the others. True.
    """

    uses_image: bool = True
    ties_samples: bool = True

    def __call__(self, head: nn.Module, out: Tensor, y: Tensor, image: Tensor) -> Tensor:
        """Return N times the batch's mean loss: the sum over the samples, where it is one.

        Parameters
        ----------
        head : nn.Module
        out : float tensor, shape (N, ...)
            The module's output x_l; a head with auxiliary parts has those of :meth:`parts`.
        y : int64 tensor, shape (N,)
        image : float tensor, shape (N, ...)
            What the network was given, x_0.

        Returns
        -------
        Tensor, shape ()
        """
        raise NotImplementedError

    def parts(self, out: Tensor, image: Tensor) -> dict[str, nn.Module]:
        """Return new auxiliary parts, by name, for a module with this output and image: none."""
        return {}


@dataclass(frozen=True)
class CrossEntropy(LocalLoss):
    """The cross-entropy of the head's class scores."""

    uses_image = False
    ties_samples = False

    def __call__(self, head: nn.Module, out: Tensor, y: Tensor, image: Tensor) -> Tensor:
        """Return the sum over the samples; see :class:`LocalLoss`."""
        return F.cross_entropy(head(out), y, reduction="sum")


def module_loss(loss: LocalLoss, place: tuple[int, int]) -> LocalLoss:
    """Return the loss of module ``number`` of ``modules``: that of the last is the cross-entropy.

    Its scores are the network's answer, and no auxiliary signal has anything to prepare after it.
    """
    number, modules = place
    return CrossEntropy() if number == modules - 1 else loss


class EquippedHead(nn.Module):
    """A head, and beside its classifier the parts, by name, that only a local loss uses."""

    def __init__(self, classifier: nn.Module, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.classifier = classifier
        self.parts = nn.ModuleDict(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Return the classifier's scores (N, classes); the other parts take no part in them."""
        scores: Tensor = self.classifier(x)
        return scores


def equip(net: IsolatedNetwork, loss: LocalLoss, example: Tensor, *, seed: int) -> IsolatedNetwork:
    """Give every head but the last the auxiliary parts that a loss needs.

    Parameters
    ----------
    net : IsolatedNetwork
        Its modules and classifiers are shared with the network returned.
    loss : LocalLoss
    example : float tensor, shape (N, ...)
        Images; only their shape matters.
    seed : int
        Module l's parts are drawn from ``seed + l``, without touching the global random state.

    Raises
    ------
    ConfigError
        If the loss has no parts for outputs of a module's form.
    """
    heads: list[nn.Module] = []
    x = example
    with evaluating(net), torch.no_grad():
        for number, (module, head) in enumerate(net.pairs(), start=1):
            x = module(x)
            if number == len(net):
                heads.append(head)
                break
            with seeded(seed + number):
                parts = loss.parts(x, example)
            heads.append(EquippedHead(head, parts).to(x) if parts else head)
    return IsolatedNetwork(list(net.local_modules), heads)


def part(head: nn.Module, name: str) -> nn.Module:
    """Return a head's auxiliary part."""
    parts: Mapping[str, nn.Module] = getattr(head, "parts", {})
    if name not in parts:
        raise ConfigError(
            f"this local loss needs heads with a part '{name}'; "
            "build the network by equip(net, loss, example, seed=...) first."
        )
    return parts[name]
