"""The networks that the large comparisons cut into modules, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.local.networks.adding import add_heads
from localbook.local.networks.isolated import IsolatedNetwork
from localbook.local.networks.models import cifar_resnet, small_vit
from localbook.local.networks.split import split


@dataclass(frozen=True)
class Backbone:
    """How a network is made, and what its auxiliary heads look at.

    Attributes
    ----------
    build : callable
        From the number of classes, the side of an image in pixels and a seed to a model of class
        scores of images (N, 3, side, side).
    head : str
        A key of :data:`localbook.local.HEADS`.
    channel_axis : int or None
        As in :func:`localbook.local.add_heads`.
    """

    build: Callable[[int, int, int], nn.Module]
    head: str
    channel_axis: int | None = None


def _resnet50(classes: int, side: int, seed: int) -> nn.Module:
    """Return torchvision's ResNet-50 with a stem for small images: one 3 x 3 convolution."""
    from torchvision.models import resnet50

    model: nn.Module = resnet50(num_classes=classes)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def _vit_s(classes: int, side: int, seed: int) -> nn.Module:
    """Return ViT-S (12 blocks, 384 features, 6 heads) with 8 x 8 patches."""
    from torchvision.models import VisionTransformer

    model: nn.Module = VisionTransformer(side, side // 8, 12, 6, 384, 1536, num_classes=classes)
    return model


def _swin_t(classes: int, side: int, seed: int) -> nn.Module:
    """Return Swin-T with patches of 2 and windows of 4, as small images need."""
    from torchvision.models import SwinTransformer

    model: nn.Module = SwinTransformer(
        [2, 2], 96, [2, 2, 6, 2], [3, 6, 12, 24], [4, 4], num_classes=classes
    )
    return model


def _cifar_resnet(depth: int) -> Backbone:
    return Backbone(lambda classes, side, seed: cifar_resnet(depth, classes, seed=seed), "conv")


def _small_vit(classes: int, side: int, seed: int) -> nn.Module:
    """Return the small transformer with 8 x 8 patches."""
    return small_vit(classes, image=side, patch=side // 8, seed=seed)


BACKBONES: Mapping[str, Backbone] = {
    "resnet8": _cifar_resnet(8),
    "resnet20": _cifar_resnet(20),
    "resnet32": _cifar_resnet(32),
    "resnet110": _cifar_resnet(110),
    "small-vit": Backbone(_small_vit, "class_token"),
    "resnet50": Backbone(_resnet50, "conv"),
    "vit-s": Backbone(_vit_s, "class_token"),
    "swin-t": Backbone(_swin_t, "mlp", channel_axis=-1),
}


def isolated(name: str, k: int, example: Tensor, labels: Tensor, *, seed: int) -> IsolatedNetwork:
    """Return a backbone cut into ``k`` modules, with auxiliary heads and seeded weights.

    Parameters
    ----------
    name : str
        A key of :data:`BACKBONES`.
    k : int
    example : float tensor, shape (N, 3, H, W)
        A batch of the size to balance memory for.
    labels : int64 tensor, shape (M,)
        Those to be trained on; only their range matters.
    seed : int
        The global random state is not touched. Cuts do not depend on it.

    Raises
    ------
    ConfigError
        If there is no such backbone, or it cannot be cut into ``k`` modules.
    """
    if name not in BACKBONES:
        raise ConfigError(f"there is no backbone {name!r}; choose from: {', '.join(BACKBONES)}.")
    backbone = BACKBONES[name]
    with seeded(seed):
        model = backbone.build(int(labels.max()) + 1, example.shape[-1], seed)
    modules = split(model, k, example).modules
    axis = backbone.channel_axis
    return add_heads(modules, backbone.head, example, labels, seed=seed, channel_axis=axis)
