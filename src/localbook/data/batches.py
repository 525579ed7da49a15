"""Batches drawn on the device: the whole set lives there as uint8, and no worker is needed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from localbook.data.imageset import ImageSet
from localbook.errors import ConfigError


@dataclass(frozen=True)
class Augment:
    """What happens to training images: a random crop after padding, and a mirror flip.

    Attributes
    ----------
    crop : int
        Pixels of reflected padding on each side before a random crop to the original size.
    flip : bool
        Mirror left and right with probability one half.
    """

    crop: int = 0
    flip: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented copies of ``images`` (B, C, H, W)."""
        if self.crop:
            images = _random_crop(images, self.crop, generator)
        if self.flip:
            coin = torch.rand(len(images), generator=generator, device=images.device) < 0.5
            images = torch.where(coin[:, None, None, None], images.flip(3), images)
        return images


def _random_crop(images: Tensor, pad: int, generator: torch.Generator) -> Tensor:
    n, c, h, w = images.shape
    device = images.device
    padded = torch.nn.functional.pad(images, (pad,) * 4, mode="reflect")
    shift = torch.randint(2 * pad + 1, (2, n, 1), generator=generator, device=device)
    rows = (shift[0] + torch.arange(h, device=device))[:, None, :, None]  # (B, 1, H, 1)
    cols = (shift[1] + torch.arange(w, device=device))[:, None, None, :]  # (B, 1, 1, W)
    sample = torch.arange(n, device=device)[:, None, None, None]
    channel = torch.arange(c, device=device)[None, :, None, None]
    return padded[sample, channel, rows, cols]


class DeviceImages:
    """An :class:`ImageSet` that lives on a device.

    Parameters
    ----------
    data : ImageSet
    device : torch.device or str
    stats : (mean, std), optional
        Channel statistics used to normalise, in units of [0, 1]; pass those of the train split to
        every other split. Computed from ``data`` when left out.
    """

    def __init__(
        self,
        data: ImageSet,
        device: torch.device | str = "cpu",
        stats: tuple[list[float], list[float]] | None = None,
    ) -> None:
        self.stats = stats if stats is not None else data.channel_stats()
        # np.array copies: a memory map is read-only, and torch wants memory it may write to.
        self.images = torch.from_numpy(np.array(data.images)).to(device)
        self.labels = torch.from_numpy(np.array(data.labels)).to(device)
        mean, std = (torch.tensor(s, device=device)[:, None, None] for s in self.stats)
        self._scale, self._shift = 1 / (255 * std), -mean / std

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return normalised images (B, C, H, W) float32 and labels (B,) of some rows."""
        return self.images[index].float() * self._scale + self._shift, self.labels[index]

    def epoch(
        self, batch_size: int, generator: torch.Generator, augment: Augment | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one shuffled epoch of whole batches; the last, smaller one is left out.

        Parameters
        ----------
        batch_size : int
        generator : torch.Generator
            On the same device; its seed decides order and augmentation.
        augment : Augment, optional

        Raises
        ------
        ConfigError
            If the set is smaller than one batch.
        """
        if not 0 < batch_size <= len(self):
            raise ConfigError(
                f"batch_size={batch_size} must lie between 1 and the {len(self)} images there are."
            )
        order = torch.randperm(len(self), generator=generator, device=self.labels.device)
        for start in range(0, len(self) - batch_size + 1, batch_size):
            x, y = self.at(order[start : start + batch_size])
            yield (augment(x, generator) if augment else x), y

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in order, without augmentation."""
        for start in range(0, len(self), batch_size):
            yield self.at(slice(start, start + batch_size))
