"""What the modules of a network tell each other: discord, cosine, accuracy at each depth."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

from localbook.local.networks import IsolatedNetwork, check_labels, evaluating
from localbook.local.second_derivatives import cosines


@dataclass(frozen=True)
class Discord:
    """How far each module's gradient at its input is from what the module before it wants.

    With δ_l the gradient of module l's loss at its output and γ_l at its input, the discord is
    r_l = γ_l - δ_{l-1}. Module 1 has no module before it; its entries are NaN.

    Attributes
    ----------
    relative : float tensor, shape (L,)
        sqrt(Σ|r_l|² / Σ|δ_{l-1}|²) over the samples: 0 when reconciled, 1 when γ_l vanishes, √2
        when the two are equally long and at right angles.
    cosine : float tensor, shape (L,)
        Mean over samples of the cosine between γ_l and δ_{l-1}.
    """

    relative: Tensor
    cosine: Tensor


def discord(net: IsolatedNetwork, x: Tensor, y: Tensor) -> Discord:
    """Measure the discord of every module on one batch, in eval mode, leaving no gradient behind.

    Parameters
    ----------
    net : IsolatedNetwork
    x : float tensor, shape (N, C, H, W)
    y : int64 tensor, shape (N,)

    Raises
    ------
    ConfigError
        If a head has too few classes for the labels.

    Examples
    --------
    >>> import torch
    >>> from localbook import local
    >>> net = local.ConvNet((4, 4, 4), (1, 1, 1)).build(in_channels=1, classes=10, seed=0)
    >>> found = local.discord(net, torch.randn(8, 1, 8, 8), torch.arange(8))
    >>> found.relative.isnan().tolist()  # no module stands before the first
    [True, False, False]
    """
    relative = [torch.full((), torch.nan, device=x.device)]
    cosine = [*relative]
    target: Tensor | None = None
    with evaluating(net), torch.enable_grad():
        for module, head in net.pairs():
            x = x.detach().requires_grad_()
            out = module(x)
            scores = head(out)
            check_labels(y, scores.shape[1])
            delta, gamma = grad(F.cross_entropy(scores, y, reduction="sum"), (out, x))
            if target is not None:
                ratio = (gamma - target).double().norm() / target.double().norm()
                relative.append(ratio.to(x.dtype))
                cosine.append(cosines(gamma, target).mean())
            target, x = delta, out
    return Discord(torch.stack(relative).detach(), torch.stack(cosine).detach())


@torch.no_grad()
def accuracy(net: IsolatedNetwork, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the share of images each head classifies correctly, in eval mode, shape (L,)."""
    hits, count = torch.zeros(len(net)), 0
    with evaluating(net):
        for x, y in batches:
            correct = [(scores.argmax(1) == y).sum() for scores in net.all_scores(x)]
            hits += torch.stack(correct).cpu()
            count += len(y)
    return hits / count
