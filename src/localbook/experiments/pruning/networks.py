"""The networks that are pruned: training, pruning by masks, tuning what is left, measuring."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from localbook.data import DeviceImages
from localbook.experiments.harness import Samples, tensors_once
from localbook.fit import fit, seeded

_TEST_BATCH = 1000
_BATCH = 100
_BODY_SEED = 7000  # one body for all seeds: the heads are compared, not the bodies

BODIES = {
    # The features that AlexNet and, for images of 32 by 32 pixels, VGG16 hand to their heads.
    "alexnet": (256, 6),  # 9,216
    "vgg16": (512, 1),  # 512
}


def samples(
    data: dict[str, DeviceImages], body: str, epochs: int, cache: Path
) -> dict[str, Samples]:
    """Return the pixels of all splits, or the features of a convolutional body.

    Parameters
    ----------
    data : mapping of split to DeviceImages
    body : str
        A key of :data:`BODIES`, or "" for the pixels.
    epochs : int
        How long the body is trained, with a linear classifier on its channels' averages.
    cache : Path
        A file for the features, which take long.
    """
    if not body:
        return {split: Samples(*_pixels(d)) for split, d in data.items()}

    def features() -> dict[str, tuple[Tensor, ...]]:
        net = _trained_body(data["train"], *BODIES[body], epochs)
        with torch.no_grad():
            return {
                split: tuple(map(torch.cat, zip(*_features(net, d), strict=True)))
                for split, d in data.items()
            }

    stored = tensors_once(cache, str(data["train"].labels.device), features)
    return {split: Samples(*pair) for split, pair in stored.items()}


def _pixels(data: DeviceImages) -> tuple[Tensor, Tensor]:
    x, y = data.at(slice(None))
    return x.flatten(1), y


def _features(net: nn.Module, data: DeviceImages) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in data.in_order(_TEST_BATCH):
        yield net(x).flatten(1), y


def _trained_body(data: DeviceImages, channels: int, side: int, epochs: int) -> nn.Module:
    """Train three convolutions for a few epochs and return them."""
    device = data.labels.device
    with seeded(_BODY_SEED):
        convolutions = nn.Sequential(
            *(nn.Conv2d(data.images.shape[1], 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, channels, 3, padding=1), nn.ReLU()),
        ).to(device)
        top = nn.Linear(channels, int(data.labels.max()) + 1, device=device)
    whole = nn.Sequential(convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), top)
    if epochs:
        x, y = data.at(slice(None))
        fit(whole, x, y, epochs=epochs, batch_size=_BATCH, lr=2e-3, seed=_BODY_SEED)
    return nn.Sequential(convolutions, nn.AdaptiveAvgPool2d(side)).eval()


def linear_layers(net: nn.Sequential) -> list[nn.Linear]:
    """Return the layers that have weights."""
    return [layer for layer in net if isinstance(layer, nn.Linear)]


@torch.no_grad()
def measure(net: nn.Sequential, data: Samples) -> tuple[float, float]:
    """Return the accuracy, and the share of hidden neurons that no input switches on."""
    right, alive = 0, [torch.zeros(layer.out_features) for layer in linear_layers(net)[:-1]]
    for x, y in zip(
        torch.split(data.x, _TEST_BATCH), torch.split(data.y, _TEST_BATCH), strict=True
    ):
        number = 0
        for layer in net:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                alive[number] = torch.maximum(alive[number], x.amax(0).cpu())
                number += 1
        right += int((x.argmax(1) == y).sum())
    dead = sum(int((a == 0).sum()) for a in alive) / sum(len(a) for a in alive)
    return right / len(data.y), dead


def digest(*parts: object) -> str:
    """Return a name for what was made from these, for a file that can be used again."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
