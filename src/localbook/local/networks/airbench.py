"""The network of a very fast CIFAR-10 training: whitened patches, and three short groups."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.local.networks.isolated import IsolatedNetwork
from localbook.local.networks.split import split

_PATCH = 2
_FLOOR = 5e-4  # added to the variances, so that nearly empty directions are not blown up
_SCALE = 1 / 9
_SEEN = 7  # pixels that a head looks at, as many as the last group does
_PATCHED = 5000  # images that the covariance is taken from, as in the source


def airbench(classes: int = 10, *, images: Tensor, width: int = 64, seed: int) -> nn.Module:
    """Return the network ``airbench94``, with seeded weights.

    Parameters
    ----------
    classes : int
    images : float tensor, shape (N, 3, H, W)
        Normalised images to train on, from which the first layer is computed.
    width : int
        Channels of the first group; the others have four times as many.
    seed : int
        The global random state is not touched.

    Returns
    -------
    nn.Module
        From images (N, 3, H, W) to class scores (N, classes), of the device and type of ``images``.
        The weight of ``whiten`` and the weights of BatchNorm are frozen.

    Raises
    ------
    ConfigError
        If the images are too small, or not in three colours.

    References
    ----------
    Keller Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv 2404.00498, 2024), and
    its code, under the MIT licence; the ``width`` is ours.
    """
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 9:
        raise ConfigError(
            "this network needs colour images (N, 3, H, W) of 9 x 9 pixels or more, not "
            f"{tuple(images.shape)}."
        )
    with seeded(seed):
        whiten = _whitening(images[:_PATCHED])
        channels = (whiten.out_channels, width, 4 * width, 4 * width)
        groups = [ConvGroup(channels[i], channels[i + 1]) for i in range(3)]
        return nn.Sequential(
            OrderedDict(
                whiten=whiten,
                activation=nn.GELU(),
                group1=groups[0],
                group2=groups[1],
                group3=groups[2],
                classifier=_classifier(channels[-1], classes),
            )
        ).to(images)


def isolated_airbench(
    classes: int = 10, *, images: Tensor, width: int = 64, seed: int
) -> IsolatedNetwork:
    """Return :func:`airbench` as three modules, one for each group, with auxiliary heads.

    A head averages to 7 x 7 pixels, and goes on as the network ends: with one more group, and a
    classifier. The source has no such thing; the heads are ours, as wide as the widest group.

    Parameters and errors are those of :func:`airbench`; the heads are drawn after it.
    """
    model = airbench(classes, images=images, width=width, seed=seed)
    parts = split(model, 3, images[:2], at=("group1", "group2"))
    with seeded(seed + 1):
        heads = [_head(channels, 4 * width, classes) for channels in (width, 4 * width)]
    return IsolatedNetwork(parts.modules, [*heads, nn.Identity()]).to(images)


class ConvGroup(nn.Module):
    """Two convolutions with normalisation and GELU; the first one is pooled."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _convolution(channels, width), _norm(width)
        self.conv2, self.norm2 = _convolution(width, width), _norm(width)
        self.pool = nn.MaxPool2d(2)
        self.activation = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H // 2, W // 2)."""
        x = self.activation(self.norm1(self.pool(self.conv1(x))))
        out: Tensor = self.activation(self.norm2(self.conv2(x)))
        return out


class Scale(nn.Module):
    """Multiply by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the product, of the same shape."""
        return self.factor * x


def _whitening(images: Tensor) -> nn.Conv2d:
    """Return a convolution to the principal components of patches, and to their negatives.

    Each component has variance one over all patches; its bias is trained, its weight is not.
    """
    patches = F.unfold(images, _PATCH).movedim(1, 0).flatten(1).double()  # (12, patches)
    variances, directions = torch.linalg.eigh(patches @ patches.T / patches.shape[1])
    scaled = directions.flip(1) / (variances.flip(0) + _FLOOR).sqrt()  # largest variance first
    rows = scaled.T.unflatten(1, (images.shape[1], _PATCH, _PATCH)).float()
    layer = nn.Conv2d(images.shape[1], 2 * len(rows), _PATCH)
    layer.weight = nn.Parameter(torch.cat([rows, -rows]), requires_grad=False)
    layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
    return layer


def _convolution(channels: int, width: int) -> nn.Conv2d:
    """Return a convolution that hands on its first channels, and mixes into the others."""
    layer = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[:channels])
    return layer


def _norm(width: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def _head(channels: int, width: int, classes: int) -> nn.Module:
    group = ConvGroup(channels, width)
    return nn.Sequential(nn.AdaptiveAvgPool2d(_SEEN), group, _classifier(width, classes))


def _classifier(channels: int, classes: int) -> nn.Module:
    linear = nn.Linear(channels, classes, bias=False)
    return nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), linear, Scale(_SCALE))
