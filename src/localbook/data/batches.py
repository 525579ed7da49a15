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

    References
    ----------
    ``whole``: Keller Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv 2404.00498,
    2024), its alternating flip.

    Attributes
    ----------
    crop : int
        Pixels of reflected padding on each side before a random crop to the original size.
    flip : bool
        Mirror left and right with probability one half.
    whole : bool
        Augment a whole epoch at once, before it is cut into batches; and where
        :func:`localbook.local.train` draws the epochs, mirror each image in every second one: which
        half begins is drawn once.
    """

    crop: int = 0
    flip: bool = False
    whole: bool = False

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented copies of ``images`` (B, C, H, W)."""
        if self.crop:
            images = _random_crop(images, self.crop, generator)
        if self.flip:
            coin = torch.rand(len(images), generator=generator, device=images.device) < 0.5
            images = torch.where(coin[:, None, None, None], images.flip(3), images)
        return images

    def at_once(
        self,
        images: Tensor,
        order: Tensor,
        generator: torch.Generator,
        mirrored: Tensor | None = None,
    ) -> Tensor:
        """Return augmented copies of ``images[order]`` of the same type, in one pass over memory.

        Parameters
        ----------
        images : tensor, shape (N, C, H, W)
            Of any type, such as uint8.
        order : int64 tensor, shape (M,)
        generator : torch.Generator
        mirrored : bool tensor, shape (N,), optional
            Which images to mirror if ``flip`` is set; if not given, half of them are drawn.

        Returns
        -------
        tensor, shape (M, C, H, W)
        """
        n, device = len(order), images.device
        shift = torch.randint(
            2 * self.crop + 1, (2, n, 1), generator=generator, device=device
        )  # as in _random_crop
        rows, cols = (
            _reflected(move + torch.arange(side, device=device) - self.crop, side)
            for move, side in zip(shift, images.shape[2:], strict=True)
        )  # (M, H), (M, W)
        if self.flip:
            if mirrored is None:
                mirrored = torch.rand(len(images), generator=generator, device=device) < 0.5
            cols = torch.where(mirrored[order, None], cols.flip(1), cols)
        channel = torch.arange(images.shape[1], device=device)[None, :, None, None]
        return images[
            order[:, None, None, None], channel, rows[:, None, :, None], cols[:, None, None]
        ]


def _reflected(index: Tensor, side: int) -> Tensor:
    """Return indices that ran out of 0 to side - 1, mirrored at the pixels on the edge."""
    return (side - 1) - ((side - 1) - index.abs()).abs()


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

    Examples
    --------
    >>> from localbook import data
    >>> train = data.DeviceImages(data.load("digits", "train"))
    >>> val = data.DeviceImages(data.load("digits", "val"), stats=train.stats)
    >>> x, y = val.at(slice(0, 4))
    >>> x.shape, y.shape
    (torch.Size([4, 1, 8, 8]), torch.Size([4]))
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
        return self._normalised(self.images[index]), self.labels[index]

    def _normalised(self, images: Tensor) -> Tensor:
        return images.float() * self._scale + self._shift

    def epoch(
        self,
        batch_size: int,
        generator: torch.Generator,
        augment: Augment | None = None,
        mirrored: Tensor | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one shuffled epoch of whole batches; the last, smaller one is left out.

        Parameters
        ----------
        batch_size : int
        generator : torch.Generator
            On the same device; its seed decides order and augmentation.
        augment : Augment, optional
        mirrored : bool tensor, shape (N,), optional
            See :meth:`Augment.at_once`.

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
        starts = range(0, len(self) - batch_size + 1, batch_size)
        if augment and augment.whole:
            images, labels = (
                augment.at_once(self.images, order, generator, mirrored),
                self.labels[order],
            )
            for start in starts:
                part = slice(start, start + batch_size)
                yield self._normalised(images[part]), labels[part]
            return
        for start in starts:
            x, y = self.at(order[start : start + batch_size])
            yield (augment(x, generator) if augment else x), y

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image once, in order, without augmentation."""
        for start in range(0, len(self), batch_size):
            yield self.at(slice(start, start + batch_size))
