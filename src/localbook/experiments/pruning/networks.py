"""The networks that are pruned: training, pruning by masks, tuning what is left, measuring."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from localbook.data import DeviceImages
from localbook.experiments.harness import keep_tensors, kept_tensors

_TEST_BATCH = 1000
_BODY_SEED = 7000  # one body for all seeds: the heads are compared, not the bodies

BODIES = {
    # The features that AlexNet and, for images of 32 by 32 pixels, VGG16 hand to their heads.
    "alexnet": (256, 6),  # 9,216
    "vgg16": (512, 1),  # 512
}


@dataclass(frozen=True)
class Samples:
    """What a fully connected network sees of a split: inputs (N, n) and labels (N,)."""

    x: Tensor
    y: Tensor

    def batches(
        self, size: int, count: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield that many batches, of shuffled epochs."""
        left = torch.zeros(0, dtype=torch.long)
        for _ in range(count):
            if len(left) < size:
                left = torch.randperm(len(self.y), generator=generator)
            index, left = left[:size].to(self.y.device), left[size:]
            yield self.x[index], self.y[index]

    def in_order(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every sample once."""
        for start in range(0, len(self.y), size):
            yield self.x[start : start + size], self.y[start : start + size]


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
    stored = kept_tensors(cache, str(data["train"].labels.device))
    if stored is None:
        net = _trained_body(data["train"], *BODIES[body], epochs)
        with torch.no_grad():
            stored = {
                split: tuple(map(torch.cat, zip(*_features(net, d), strict=True)))
                for split, d in data.items()
            }
        keep_tensors(cache, stored)
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_BODY_SEED)
        convolutions = nn.Sequential(
            *(nn.Conv2d(data.images.shape[1], 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, channels, 3, padding=1), nn.ReLU()),
        ).to(device)
        top = nn.Linear(channels, int(data.labels.max()) + 1, device=device)
    parameters = [*convolutions.parameters(), *top.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=2e-3)
    generator = torch.Generator(device).manual_seed(_BODY_SEED)
    for _ in range(epochs):
        for x, y in data.epoch(100, generator):
            loss = nn.functional.cross_entropy(top(convolutions(x).mean((2, 3))), y)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    return nn.Sequential(convolutions, nn.AdaptiveAvgPool2d(side)).eval()


def fully_connected(inputs: int, hidden: tuple[int, ...], classes: int, seed: int) -> nn.Sequential:
    """Return Linear layers with ReLUs between them, initialised from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for i, o in pairwise((inputs, *hidden, classes)):
            layers += [nn.Linear(i, o), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linear_layers(net: nn.Sequential) -> list[nn.Linear]:
    """Return the layers that have weights."""
    return [layer for layer in net if isinstance(layer, nn.Linear)]


def fit(
    net: nn.Sequential,
    parameters: list[nn.Parameter],
    data: Samples,
    *,
    batches: int,
    batch_size: int,
    lr: float,
    seed: int,
    after_step: Callable[[int], None] = lambda step: None,
) -> None:
    """Train some parameters by Adam for a number of batches, calling back after each."""
    optimiser = torch.optim.Adam(parameters, lr=lr)
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.requires_grad_(any(parameter is p for p in parameters))
    for step, (x, y) in enumerate(data.batches(batch_size, batches, generator), start=1):
        loss = nn.functional.cross_entropy(net(x), y)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        after_step(step)


@torch.no_grad()
def measure(net: nn.Sequential, data: Samples) -> tuple[float, float]:
    """Return the accuracy, and the share of hidden neurons that no input switches on."""
    right, alive = 0, [torch.zeros(layer.out_features) for layer in linear_layers(net)[:-1]]
    for x, y in data.in_order(_TEST_BATCH):
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
