"""LSTMs and temporal convolutions over features of two streams both use motion (ma2019tslstm).

A video is T moments. The appearance stream sees a frame of each, the flow stream the motion there;
each is a network of its own, trained on frames and then frozen. Their features, side by side, are
the rows of X (N, T, F), on which temporal models learn, as in the authors' published code. The
videos are ours: in a world without borders no padding tells where a thing is.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.experiments.harness import Samples

Frames = NDArray[np.float32]
Padding = Literal["circular", "zeros"]

_STEPS = np.array([[0, 1], [1, 0], [-1, 0], [0, -1]])  # right, down, up, left as (rows, columns)
_ORDERS = np.array([[0, 1], [1, 0], [0, 2], [2, 0]])
CLASSES = tuple(
    f"{look}, {order}"
    for look in ("light", "dark")
    for order in ("right-down", "down-right", "right-up", "up-right")
)


@dataclass(frozen=True)
class Scene:
    """Videos of a light or dark spot that turns once, in a grey world without borders.

    Attributes
    ----------
    side, frames : int
        Pixels of the world's side, and T.
    turns : tuple of int
        It turns after so many moments at least, and at most; both add up to T, so that the first
        way lasts no longer than the second.
    noise : float
        The standard deviation of every pixel, where the spot's height is between 0.5 and 1.
    blank, wander : float
        The probabilities that a moment shows nothing but noise, and that its step goes any way.

    Raises
    ------
    ConfigError
        If a number makes no sense.
    """

    side: int = 16
    frames: int = 25
    turns: tuple[int, int] = (10, 15)
    noise: float = 0.2
    blank: float = 0.2
    wander: float = 0.3

    def __post_init__(self) -> None:
        first, last = self.turns
        fits = 0 < first <= last == self.frames - first and self.side > 7 and self.noise >= 0
        if not (fits and 0 <= self.blank <= 1 and 0 <= self.wander <= 1):
            raise ConfigError(
                f"{self}: let turns rise from above 0 and add up to frames, side be at least 8, "
                "noise not negative, and blank and wander probabilities."
            )

    def videos(self, count: int, *seed: int) -> Samples:
        """Return frames (count, T, 2, side, side), float32, two a moment, and classes (count,)."""
        if count < 1:
            raise ConfigError(f"count={count}: give at least one video.")
        rng, shape = np.random.default_rng(seed), (count, self.frames)
        y = rng.permutation(np.arange(count) % len(CLASSES))
        turn = rng.integers(self.turns[0], self.turns[1] + 1, size=(count, 1))
        way = np.where(np.arange(self.frames) < turn, *_ORDERS[y % 4].T[:, :, None])
        way = np.where(rng.random(shape) < self.wander, rng.integers(4, size=shape), way)
        step = _STEPS[way]  # (N, T, 2)
        start = rng.integers(self.side, size=(count, 1, 2))
        speed = rng.integers(1, 3, size=(count, 1, 1))
        place = start + speed * (np.cumsum(step, axis=1) - step)
        both = np.stack([place, place + step], axis=2)  # (N, T, 2, 2)
        away = (np.arange(self.side) - both[..., None]) % self.side
        profile = np.exp(-(np.minimum(away, self.side - away) ** 2) / 5)
        spot = profile[..., 0, :, None] * profile[..., 1, None, :]
        height = rng.uniform(0.5, 1, size=count) * np.where(y < 4, 1, -1)
        height = height[:, None] * (rng.random(shape) >= self.blank)
        x = (height[:, :, None, None, None] * spot).astype(np.float32)
        x += np.float32(self.noise) * rng.standard_normal(x.shape, np.float32)
        source = f"drawn videos of a spot that turns, noise {self.noise:g}, {count:,} of them"
        return Samples(torch.from_numpy(x), torch.from_numpy(y), source)


def lucas_kanade(first: Frames, second: Frames, *, window: int = 5, ridge: float = 0.01) -> Frames:
    """Return the optical flow (..., 2, H, W) between frames (..., H, W) of a world without borders.

    At every pixel it is the displacement d (rows, columns) with the least mean of (∇I · d + ∂I)²
    over the window, plus ridge ‖d‖². It is the same if light and dark are exchanged.
    """
    mean, change = (first + second) / 2, second - first
    r, c = ((np.roll(mean, -1, axis) - np.roll(mean, 1, axis)) / 2 for axis in (-2, -1))
    size = (1,) * (mean.ndim - 2) + (window, window)
    products = (r * r, r * c, c * c, r * change, c * change)
    rr, rc, cc, rt, ct = (uniform_filter(product, size, mode="wrap") for product in products)
    rr, cc = rr + ridge, cc + ridge
    flow: Frames = np.stack([rc * ct - cc * rt, rc * rt - rr * ct], axis=-3)
    flow /= np.expand_dims(rr * cc - rc * rc, -3)
    return flow


class FrameNet(nn.Module):
    """A convolution, ReLU and the mean over all places: features; and a linear head on them.

    With circular padding no feature changes when a frame is moved around; with zeros it does.
    """

    def __init__(
        self, channels: int, features: int, classes: int, *, padding: Padding = "circular"
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, features, 5, padding=2, padding_mode=padding)
        self.head = nn.Linear(features, classes)

    def features(self, x: Tensor) -> Tensor:
        """Return features (..., F) of frames (..., C, H, W)."""
        found = torch.relu(self.conv(x.flatten(0, -4))).mean((2, 3))
        return found.view(*x.shape[:-3], -1)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (..., classes)."""
        scores: Tensor = self.head(self.features(x))
        return scores


class TSLSTM(nn.Module):
    """A temporal segment LSTM: a step for each segment, whose T // segments frames are pooled.

    Features are normalised over the batch and a segment's frames, by one BatchNorm a segment; after
    the LSTM's last step come BatchNorm, dropout and a linear layer. Frames left over are dropped.

    Parameters
    ----------
    features, classes, hidden : int
    segments : int or None
        None for an LSTM over all frames, normalised by one BatchNorm.
    mean : bool
        Pool by the mean in place of the maximum.
    dropout : float
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        hidden: int = 32,
        segments: int | None = 3,
        mean: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if segments is not None and segments < 1:
            raise ConfigError(f"segments={segments}: give at least one, or None for all frames.")
        self.whole, self.mean = segments is None, mean
        self.norms = nn.ModuleList(nn.BatchNorm1d(features) for _ in range(segments or 1))
        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        norm, last = nn.BatchNorm1d(hidden), nn.Linear(hidden, classes)
        self.end = nn.Sequential(norm, nn.Dropout(dropout), last)

    def pooled(self, x: Tensor) -> Tensor:
        """Return what the LSTM sees (N, segments, F) of sequences (N, T, F)."""
        if x.shape[1] < len(self.norms):
            raise ConfigError(f"{x.shape[1]} frames cannot be cut into {len(self.norms)} segments.")
        parts = torch.split(x.transpose(1, 2), x.shape[1] // len(self.norms), dim=2)
        normed: list[Tensor] = [n(part) for n, part in zip(self.norms, parts, strict=False)]
        if self.whole:
            return normed[0].transpose(1, 2)
        return torch.stack([p.mean(2) if self.mean else p.amax(2) for p in normed], dim=1)

    def read(self, x: Tensor) -> Tensor:
        """Return what the LSTM knows at the end (N, hidden)."""
        known: Tensor = self.lstm(self.pooled(x))[0][:, -1]
        return known

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, classes)."""
        scores: Tensor = self.end(self.read(x))
        return scores


class TemporalInception(nn.Module):
    """Convolutions of two lengths along time, whose filters all features share.

    Four stages, each with kernels of 5 and 7, BatchNorm, ReLU and pooling: from 25 moments to 12,
    6, 3 and 1, with 2, 4, 8 and 16 channels. These shrink to 4, 2 and 1, a number for each feature,
    on which a network with one hidden layer decides.
    """

    def __init__(
        self, features: int, classes: int, *, hidden: int = 32, dropout: float = 0
    ) -> None:
        super().__init__()

        def layers(inputs: int, outputs: int, k: int) -> list[nn.Module]:
            conv = nn.Conv2d(inputs, outputs, (1, k), padding=(0, k // 2))
            return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

        self.branches = nn.ModuleList(
            nn.Sequential(*layers(2**i, 2**i, k), nn.MaxPool2d((1, pool)))
            for i, pool in enumerate((2, 2, 2, 3))
            for k in (5, 7)
        )
        self.squeeze = nn.Sequential(*layers(16, 4, 1), *layers(4, 2, 1), *layers(2, 1, 1))
        self.end = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Dropout(dropout), nn.Linear(hidden, classes),
        )  # fmt: skip

    def each(self, x: Tensor) -> Tensor:
        """Return a number for each feature (N, F) of sequences (N, T, F), T between 24 and 47."""
        if not 24 <= x.shape[1] < 48:
            raise ConfigError(f"{x.shape[1]} frames: four poolings leave one of 24 to 47.")
        maps = x.transpose(1, 2)[:, None]  # (N, 1, F, T)
        branches = list(self.branches)
        for short, long in zip(branches[::2], branches[1::2], strict=True):
            maps = torch.cat([short(maps), long(maps)], dim=1)
        found: Tensor = self.squeeze(maps)
        return found[:, 0, :, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, classes)."""
        scores: Tensor = self.end(self.each(x))
        return scores


def start(net: nn.Module, spread: float = 0.1) -> None:
    """Start every weight uniformly within ±spread, as the authors' code does.

    So do those of BatchNorm: where one is negative, the maximum over a segment is a minimum.
    """
    for weight in net.parameters():
        nn.init.uniform_(weight, -spread, spread)


def shuffled(x: Tensor, seed: int) -> Tensor:
    """Return sequences (N, T, ...), each with its moments in an order of its own."""
    chance = torch.rand(x.shape[:2], generator=torch.Generator().manual_seed(seed))
    return x[torch.arange(len(x))[:, None], chance.argsort(1)]
