"""What decoupled greedy learning (DGL) adds to plain local learning: its auxiliary network.

Belilovsky, Eickenberg and Oyallon, "Decoupled greedy learning of CNNs" (2020). Run without delays,
its modules are all trained at once, each on its own auxiliary network's cross-entropy: these are
the gradients of :class:`localbook.local.rules.PlainLocal`, so there is no rule of that name here.
"""

import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import evaluating, seeded
from localbook.local.networks.isolated import IsolatedNetwork

_DEPTH = 3  # 1 x 1 convolutions, and hidden layers of the perceptron
_SIDE = 2  # of the perceptron's input


def dgl_head(features: Tensor, classes: int, *, seed: int) -> nn.Module:
    """Return the auxiliary network of DGL that works at a reduced resolution ("MLP-SR").

    It averages to a quarter of the side, applies 1 x 1 convolutions, averages to 2 x 2 and ends
    with a perceptron of three hidden layers, as in the authors' code.

    Parameters
    ----------
    features : float tensor, shape (N, C, H, W)
        An example of what the head gets.
    classes : int
    seed : int
        The global random state is not touched.

    Raises
    ------
    ConfigError
        If the features are not of that shape.
    """
    if features.ndim != 4:
        raise ConfigError(
            f"the DGL head needs features of shape (N, C, H, W), not {tuple(features.shape)}; "
            "take the head 'mlp' for tokens."
        )
    channels = features.shape[1]
    wide = channels * _SIDE**2
    quarter = tuple(-(-side // 4) for side in features.shape[2:])
    with seeded(seed):
        head = nn.Sequential(nn.AdaptiveAvgPool2d(quarter))
        for _ in range(_DEPTH):
            convolution = nn.Conv2d(channels, channels, 1, bias=False)
            head.extend([convolution, nn.BatchNorm2d(channels), nn.ReLU()])
        head.extend([nn.AdaptiveAvgPool2d(_SIDE), nn.Flatten()])
        for _ in range(_DEPTH):
            head.extend([nn.Linear(wide, wide, bias=False), nn.BatchNorm1d(wide), nn.ReLU()])
        return head.append(nn.Linear(wide, classes)).to(features)


def with_dgl_heads(net: IsolatedNetwork, example: Tensor, *, seed: int) -> IsolatedNetwork:
    """Return a network with the same modules and, but for the last, DGL's heads.

    Parameters
    ----------
    net : IsolatedNetwork
    example : float tensor, shape (N, C, H, W)
        Images; only their shape matters.
    seed : int
        Module l's head is drawn from ``seed + l``.

    Raises
    ------
    ConfigError
        If a module's output is not of shape (N, C, H, W).
    """
    heads = []
    with evaluating(net), torch.no_grad():
        classes = net(example).shape[1]
        x = example
        for number, module in enumerate(net.local_modules[:-1], start=1):
            x = module(x)
            heads.append(dgl_head(x, classes, seed=seed + number))
    return IsolatedNetwork(list(net.local_modules), [*heads, net.heads[-1]])
