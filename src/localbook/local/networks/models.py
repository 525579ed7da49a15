"""The networks of the CIFAR chapters: He's residual networks and a small vision transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.streams import Stream, Sublayer


def cifar_resnet(depth: int, classes: int = 10, *, seed: int) -> nn.Module:
    """Return a residual network for images of 32 x 32 pixels, with seeded weights.

    Parameters
    ----------
    depth : int
        6n + 2: 20, 32, 56 or 110 in the paper.
    classes : int
    seed : int
        The global random state is not touched.

    Returns
    -------
    nn.Module
        From images (N, 3, H, W) to class scores (N, classes).

    Raises
    ------
    ConfigError
        If ``depth`` is not 6n + 2.

    References
    ----------
    He et al., "Deep residual learning for image recognition" (2016), section 4.2, with shortcuts of
    option A: the strided identity, and zeros for the new channels.
    """
    blocks, rest = divmod(depth - 2, 6)
    if rest or blocks < 1:
        raise ConfigError(f"a CIFAR ResNet has depth 6n + 2 (20, 32, 56, 110), not {depth}.")
    with seeded(seed):
        stages = [_stage(c, width, blocks) for c, width in ((16, 16), (16, 32), (32, 64))]
        net = nn.Sequential(_conv(3, 16, 1), nn.BatchNorm2d(16), nn.ReLU(), *stages)
        net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(64, classes))
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net


def small_vit(
    classes: int = 10,
    *,
    image: int = 32,
    patch: int = 4,
    width: int = 192,
    depth: int = 6,
    heads: int = 3,
    seed: int,
) -> nn.Module:
    """Return a pre-norm vision transformer with a class token, with seeded weights.

    Parameters
    ----------
    classes : int
    image, patch : int
        Side of an image and of a patch in pixels.
    width, depth, heads : int
        Features of a token, number of blocks, attention heads of each block.
    seed : int
        The global random state is not touched.

    Returns
    -------
    nn.Module
        From images (N, 3, image, image) to class scores (N, classes). Between its blocks passes
        one tensor of tokens (N, T, width), the class token first.

    Raises
    ------
    ConfigError
        If patches do not tile the image, or heads do not divide the width.

    References
    ----------
    Dosovitskiy et al., "An image is worth 16x16 words" (2021); the sizes are ours.
    """
    if image % patch or width % heads:
        raise ConfigError(
            f"patches of {patch} pixels must tile the image ({image}), and {heads} heads must "
            f"divide the width ({width})."
        )
    with seeded(seed):
        return nn.Sequential(
            Tokens(patch, width, (image // patch) ** 2),
            *(TransformerBlock(width, heads) for _ in range(depth)),
            nn.LayerNorm(width),
            ClassToken(),
            nn.Linear(width, classes),
        )


def residual_stream(vit: nn.Module) -> Stream:
    """Return the stream of a network that :func:`small_vit` made, with the weights it has now.

    Raises
    ------
    ConfigError
        If the network is another.
    """
    if not isinstance(vit, nn.Sequential) or not isinstance(vit[0], Tokens):
        raise ConfigError("only networks of small_vit have a residual stream here.")
    sublayers = []
    for layer, block in enumerate(part for part in vit if isinstance(part, TransformerBlock)):
        for kind, add, parts in (
            ("attention", block.attention, (block.norm1, block.qkv, block.project)),
            ("mlp", block.perceptron, (block.norm2, block.mlp)),
        ):
            size = sum(w.numel() for part in parts for w in part.parameters())
            sublayers.append(Sublayer(kind, layer, add, size))
    return Stream(vit[0], sublayers, vit[-3:])


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut without parameters."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(channels, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = _conv(width, width, 1), nn.BatchNorm2d(width)
        self.stride = stride
        self.new_channels = width - channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        out = F.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        if self.new_channels:
            half = self.new_channels // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(out + x)


class Tokens(nn.Module):
    """Cut an image into patches and embed them, a class token first and positions added."""

    def __init__(self, patch: int, width: int, patches: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, patches + 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to tokens (N, T, C)."""
        x = self.embed(x).flatten(2).transpose(1, 2)  # (N, T - 1, C)
        first = self.class_token.expand(x.shape[0], -1, -1)
        return torch.cat([first, x], dim=1) + self.position


class TransformerBlock(nn.Module):
    """Attention and a two-layer perceptron, each normalised first and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (N, T, C) to tokens (N, T, C)."""
        x = x + self.attention(x)
        out: Tensor = x + self.perceptron(x)
        return out

    def attention(self, x: Tensor) -> Tensor:
        """Return what attention adds to tokens (N, T, C)."""
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))  # (N, T, 3, heads, C/heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (3, N, heads, T, C/heads)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        out: Tensor = self.project(mixed.transpose(1, 2).flatten(2))
        return out

    def perceptron(self, x: Tensor) -> Tensor:
        """Return what the perceptron adds to tokens (N, T, C)."""
        out: Tensor = self.mlp(self.norm2(x))
        return out


class ClassToken(nn.Module):
    """Take the first token."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, C) to (N, C)."""
        return x[:, 0]


def _conv(channels: int, width: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)


def _stage(channels: int, width: int, blocks: int) -> nn.Sequential:
    stride = 1 if channels == width else 2
    first = ResidualBlock(channels, width, stride)
    return nn.Sequential(first, *(ResidualBlock(width, width, 1) for _ in range(blocks - 1)))
