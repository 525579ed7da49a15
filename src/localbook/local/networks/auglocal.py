"""AugLocal's auxiliary networks: each module's head is built like the layers after it.

Ma, Wu, Si and Tan, "Scaling supervised local learning with augmented auxiliary networks" (ICLR
2024, arXiv 2402.17318). Its modules are trained on their heads' cross-entropy, as
:class:`localbook.local.rules.PlainLocal` does.
"""

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating, seeded
from localbook.local.networks.isolated import IsolatedNetwork
from localbook.local.networks.replay import copied


def with_auglocal_heads(
    net: IsolatedNetwork, example: Tensor, *, depth: int = 2, shrink: float = 0.5, seed: int
) -> IsolatedNetwork:
    """Return a network with the same modules and, but for the last, AugLocal's heads.

    A head is a chain of layers like some of the later modules, evenly chosen up to the last one,
    with weights of its own, and a classifier like the network's. Heads of later modules are less
    deep: with l from 0 and K modules, of depth(1 - s) + s, s = ``shrink`` · l / (K - 2), rounded,
    of the d layers chosen number i is round(l + i (K - 1 - l) / d), as in the authors' code. A
    stride is skipped with its layer.

    Parameters
    ----------
    net : IsolatedNetwork
    example : float tensor, shape (N, ...)
        Images; only their shape matters.
    depth : int
        How many layers the first head has.
    shrink : float
        How much of the way down to one layer the last head goes, between 0 and 1.
    seed : int
        Module l's head is drawn from ``seed + l``.

    Raises
    ------
    ConfigError
        If a number is out of its range, or a later module cannot take a module's channels.
    """
    if depth < 1 or not 0 <= shrink <= 1:
        raise ConfigError(f"depth={depth} must be at least 1, and shrink={shrink} in [0, 1].")
    modules = list(net.local_modules)
    heads: list[nn.Module] = []
    with evaluating(net), torch.no_grad():
        for place, module in enumerate(modules[:-1]):
            example = module(example)
            with seeded(seed + place + 1):
                heads.append(_head(net, _chosen(place, len(net), depth, shrink), example))
    return IsolatedNetwork(modules, [*heads, net.heads[-1]])


def _chosen(place: int, modules: int, depth: int, shrink: float) -> list[int]:
    """Return which later modules, counted from 0, the head of one is built like."""
    way = shrink * place / max(1, modules - 2)
    layers, left = max(1, round(depth * (1 - way) + way)), modules - 1 - place
    if layers >= left:
        return list(range(place + 1, modules))
    return [round(place + left / layers * i) for i in range(1, layers + 1)]


def _head(net: IsolatedNetwork, chosen: list[int], features: Tensor) -> nn.Module:
    head = nn.Sequential()
    try:
        for module in (*(net.local_modules[number] for number in chosen), net.heads[-1]):
            part = _drawn_anew(module, features)
            head.append(part)
            features = evaluated(part, features)
    except RuntimeError as error:
        raise ConfigError(
            f"a layer like module {chosen[0] + 1} cannot take features of shape "
            f"{tuple(features.shape)}; cut the network where modules begin with a linear layer or "
            "a convolution."
        ) from error
    return head


def evaluated(part: nn.Module, x: Tensor) -> Tensor:
    """Return a part's output in eval mode."""
    with evaluating(part):
        out: Tensor = part(x)
    return out


def _drawn_anew(module: nn.Module, features: Tensor) -> nn.Module:
    """Return a copy of a module for features with other channels, its weights drawn anew."""
    new = copied(module)
    first = next((m for m in new.modules() if isinstance(m, nn.Linear | nn.Conv2d)), None)
    if isinstance(first, nn.Conv2d) and features.ndim == 4:
        first.in_channels = features.shape[1]
        shape = (first.out_channels, features.shape[1] // first.groups, *first.kernel_size)
        first.weight = nn.Parameter(first.weight.new_empty(shape))
    elif isinstance(first, nn.Linear) and features.ndim == 2:
        first.in_features = features.shape[1]
        first.weight = nn.Parameter(first.weight.new_empty(first.out_features, features.shape[1]))
    for part in new.modules():
        if callable(reset := getattr(part, "reset_parameters", None)):
            reset()
    return new
