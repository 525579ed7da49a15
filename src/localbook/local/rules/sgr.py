"""Successive gradient reconciliation (SGR), by double backward."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import backward, grad

from localbook.errors import ConfigError
from localbook.local.network import IsolatedNetwork


@dataclass(frozen=True)
class SGR:
    r"""Plain local learning plus a penalty on the discord between neighbouring modules.

    Module l >= 2 minimises, over its own weights and its head's,

    .. math::

        \frac1N \sum_i \ell_l^{(i)} + \lambda \frac1N \sum_i
        \Big\| \frac{\partial \ell_l^{(i)}}{\partial x_{l-1}^{(i)}} -
        \mathrm{sg}\,\frac{\partial \ell_{l-1}^{(i)}}{\partial x_{l-1}^{(i)}} \Big\|^2 ,

    where sg stops the gradient. The idea is that of Yang et al., "Towards Interpretable Deep Local
    Learning with Successive Gradient Reconciliation" (ICML 2024); distance and normalisation are
    our reconstruction: per-sample gradients, so that λ does not depend on the batch size.

    Attributes
    ----------
    weight : float
        λ >= 0.

    Raises
    ------
    ConfigError
        If ``weight`` is negative or not a number.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ConfigError(f"the SGR weight λ={self.weight} must be zero or larger.")

    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`."""
        losses = []
        target: Tensor | None = None  # δ_{l-1}, the gradient to reconcile with
        for module, head in net.pairs():
            x = x.detach().requires_grad_(target is not None)
            out = module(x)
            loss = F.cross_entropy(head(out), y, reduction="sum")  # summed: per-sample gradients
            (delta,) = grad(loss, out, create_graph=target is not None, retain_graph=True)
            objective = loss / len(y)
            if target is not None:
                (gamma,) = grad(out, x, delta, create_graph=True)
                objective = objective + self.weight * squared_distance(gamma, target)
            backward(objective)
            losses.append(loss.detach() / len(y))
            target, x = delta.detach(), out
        return torch.stack(losses)


def squared_distance(gamma: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of two per-sample gradients (N, ...), averaged over samples."""
    return (gamma - target).square().flatten(1).sum(1).mean()
