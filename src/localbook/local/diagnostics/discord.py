"""What the modules of a network tell each other: discord, cosine, accuracy at each depth."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import grad

from localbook.fit import evaluating
from localbook.local.networks import IsolatedNetwork, check_labels, explained, unchanged
from localbook.local.rules import CrossEntropy, LocalLoss, module_loss
from localbook.local.second_derivatives import cosines


@dataclass(frozen=True)
class Discord:
    """How far each module's gradient at its input is from what the module before it wants.

    With δ_l the gradient of module l's loss at its output and γ_l at its input, the discord is
    r_l = γ_l - δ_{l-1}: the slope, at x_{l-1}, of what module l adds to the loss, as the book's
    chapter on convergence proves. Module 1 has no module before it; its entries are NaN.

    Attributes
    ----------
    relative : float tensor, shape (L,)
        sqrt(Σ|r_l|² / Σ|δ_{l-1}|²) over the samples: 0 when reconciled, 1 when γ_l vanishes, √2
        when the two are equally long and at right angles.
    cosine : float tensor, shape (L,)
        Mean over samples of the cosine between γ_l and δ_{l-1}.
    ratio : float tensor, shape (L,)
        sqrt(Σ|γ_l|² / Σ|δ_{l-1}|²): whether a discord is one of length or of direction.
    """

    relative: Tensor
    cosine: Tensor
    ratio: Tensor


def discord(
    net: IsolatedNetwork,
    x: Tensor,
    y: Tensor,
    *,
    loss: LocalLoss | None = None,
    training: bool = False,
) -> Discord:
    """Measure the discord of every module on one batch, leaving no trace.

    Parameters
    ----------
    net : IsolatedNetwork
    x : float tensor, shape (N, C, H, W)
    y : int64 tensor, shape (N,)
    loss : LocalLoss, optional
        What every module but the last minimises: that of a rule is its ``loss``. The cross-entropy
        if not given.
    training : bool
        In the mode in which networks are trained: BatchNorm ties samples together there, so that a
        sample's gradient is not its own. Else in eval mode.

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
    image, none = x, torch.full((), torch.nan, device=x.device)
    relative, cosine, ratio = [none], [none], [none]
    target: Tensor | None = None
    with unchanged(net, x.device, training=training), torch.enable_grad(), explained(net, x, y):
        for number, (module, head) in enumerate(net.pairs()):
            x = x.detach().requires_grad_()
            out = module(x)
            check_labels(y, head(out).shape[1])
            local = module_loss(loss or CrossEntropy(), (number, len(net)))
            delta, gamma = grad(local(head, out, y, image), (out, x))
            if target is not None:
                size = target.double().norm()
                relative.append(((gamma - target).double().norm() / size).to(x.dtype))
                ratio.append((gamma.double().norm() / size).to(x.dtype))
                cosine.append(cosines(gamma, target).mean())
            target, x = delta, out
    return Discord(*(torch.stack(found).detach() for found in (relative, cosine, ratio)))


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
