"""What a linear classifier finds at each depth, fitted in closed form."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks import IsolatedNetwork

Batches = Iterable[tuple[Tensor, Tensor]]


@torch.no_grad()
def linear_probe(
    net: IsolatedNetwork, train: Batches, held_out: Batches, *, ridge: float = 1e-3
) -> Tensor:
    """Return how well a linear classifier reads the label off the input and off each module.

    Features are a sample's activations averaged over positions: of images (N, C, H, W), or of
    tokens (N, T, C). The classifier is a ridge
    regression on one-hot labels with intercept; it sees ``train`` once, through sums of products
    only, so it is cheap, needs no step size, and does not change the network. Alain and Bengio,
    "Understanding intermediate layers using linear classifier probes" (2016).

    Parameters
    ----------
    net : IsolatedNetwork
    train, held_out : iterable of (x, y)
        Labels of ``held_out`` that ``train`` lacks count as errors.
    ridge : float
        The penalty on squared weights, as a share of the features' mean variance.

    Returns
    -------
    Tensor, shape (L + 1,)
        Accuracy on ``held_out``: of the input first, then of module 1, ..., L.

    Raises
    ------
    ConfigError
        If the penalty is not positive (features may depend on each other), or there is no batch.
    """
    if not ridge > 0:
        raise ConfigError(f"the probe's ridge={ridge} must be larger than zero.")
    weights = [_solve(*sums, ridge) for sums in _sums(net, train)]
    hits, count = torch.zeros(len(net) + 1), 0
    for x, y in held_out:
        for depth, (features, w) in enumerate(zip(_pooled(net, x), weights, strict=True)):
            hits[depth] += (_with_one(features) @ w).argmax(1).eq(y).sum().cpu()
        count += len(y)
    if not count:
        raise ConfigError("the probe needs at least one batch of held-out images.")
    return hits / count


@torch.no_grad()
def activations(net: IsolatedNetwork, x: Tensor) -> list[Tensor]:
    """Return x_0, x_1, ..., x_L of one batch, in eval mode: the input, then each module's output.

    Parameters
    ----------
    net : IsolatedNetwork
    x : float tensor, shape (N, ...)
    """
    found = [x]
    with evaluating(net):
        for module in net.local_modules:
            found.append(module(found[-1]))
    return found


def _pooled(net: IsolatedNetwork, x: Tensor) -> list[Tensor]:
    """Return float64 features (N, C) of each depth, averaged over positions."""
    axes = {4: (2, 3), 3: (1,)}  # of (N, C, H, W) and (N, T, C)
    return [
        (found.mean(axes[found.ndim]) if found.ndim in axes else found.flatten(1)).double()
        for found in activations(net, x)
    ]


def _sums(net: IsolatedNetwork, train: Batches) -> list[tuple[Tensor, Tensor]]:
    """Return for each depth the sums over samples of ffᵀ and f onehotᵀ, with f = (features, 1)."""
    classes, sums = 0, None
    for x, y in train:
        classes = max(classes, int(y.max()) + 1)
        found = [_products(_with_one(f), y, classes) for f in _pooled(net, x)]
        if sums is None:
            sums = found
        else:
            sums = [
                (gram + a, F.pad(cross, (0, classes - cross.shape[1])) + b)
                for (gram, cross), (a, b) in zip(sums, found, strict=True)
            ]
    if sums is None:
        raise ConfigError("the probe needs at least one batch of training images.")
    return sums


def _products(f: Tensor, y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    return f.T @ f, f.T @ F.one_hot(y, classes).to(f)


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], 1)


def _solve(gram: Tensor, cross: Tensor, ridge: float) -> Tensor:
    """Return the weights (C + 1, classes), the intercept's last; the intercept is not penalised."""
    count = gram[-1, -1]
    variance = gram.diagonal()[:-1] / count - (gram[-1, :-1] / count).square()
    # A dead layer has no variance at all: then any penalty gives weights of zero.
    penalty = (ridge * variance.mean().clamp(min=1e-12)) * count
    system = gram.clone()
    system.diagonal()[:-1] += penalty
    weights: Tensor = torch.linalg.solve(system, cross)
    return weights
