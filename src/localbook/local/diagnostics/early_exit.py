"""Answering early: a sample leaves at the first head that is sure enough."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks import IsolatedNetwork, cost


@dataclass(frozen=True)
class EarlyExit:
    """What a network does at several thresholds of confidence.

    Attributes
    ----------
    accuracy : float tensor, shape (T,)
    compute : float tensor, shape (T,)
        Mean multiply-adds of a sample, over those of the network with its last head alone. Above 1
        where almost no sample leaves early, for every head on the way has been asked.
    exits : float tensor, shape (T, L)
        The share of samples that leave at each head.
    """

    accuracy: Tensor
    compute: Tensor
    exits: Tensor


@torch.no_grad()
def early_exit(
    net: IsolatedNetwork, batches: Iterable[tuple[Tensor, Tensor]], thresholds: Sequence[float]
) -> EarlyExit:
    """Let each sample leave at the first head whose largest probability reaches a threshold.

    Who reaches it nowhere is answered by the last head. Teerapittayanon, McDanel and Kung,
    "BranchyNet: fast inference via early exiting from deep neural networks" (2016), with the
    largest probability in place of the entropy.

    Parameters
    ----------
    net : IsolatedNetwork
    batches : iterable of (x, y)
    thresholds : sequence of float
        T of them; at 0 all leave at the first head, above 1 none leaves before the last.

    Raises
    ------
    ConfigError
        If there is no batch or no threshold.
    """
    sure, right, price = [], [], None
    with evaluating(net):
        for x, y in batches:
            scores = torch.stack(net.all_scores(x))  # (L, N, classes)
            sure.append(scores.softmax(2).amax(2))
            right.append(scores.argmax(2) == y)
            price = _price(net, x) if price is None else price
    if price is None or not thresholds:
        raise ConfigError("early exit needs at least one batch and one threshold.")
    confidence, correct = torch.cat(sure, 1).cpu(), torch.cat(right, 1).cpu()  # (L, N)
    exits, accuracy = [], []
    for threshold in thresholds:
        enough = confidence >= threshold
        enough[-1] = True
        leaves = enough.int().argmax(0)  # the first head that is sure, (N,)
        exits.append(torch.bincount(leaves, minlength=len(net)) / len(leaves))
        accuracy.append(correct.gather(0, leaves[None]).float().mean())
    shares = torch.stack(exits)
    return EarlyExit(torch.stack(accuracy), shares @ price, shares)


def _price(net: IsolatedNetwork, x: Tensor) -> Tensor:
    """Return the relative multiply-adds of leaving at each head, shape (L,)."""
    modules, heads = [], []
    for module, head in net.pairs():
        modules.append(cost(module, x).multiply_adds)
        x = module(x)
        heads.append(cost(head, x).multiply_adds)
    spent = torch.tensor(modules).cumsum(0) + torch.tensor(heads).cumsum(0)
    return spent / (sum(modules) + heads[-1])
