"""The one form images have in localbook: uint8 arrays with labels, names and provenance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from localbook.errors import DataError

VALIDATION_SHARE = 0.1
# One fixed seed decides who is held out and in which order subsets grow, so that every method,
# every machine and every run sees the same images.
_SPLIT_SEED = 20240609


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with labels.

    Attributes
    ----------
    images : uint8 array, shape (N, C, H, W)
        May be memory-mapped and read-only.
    labels : int64 array, shape (N,)
        Values in ``[0, len(class_names))``; every class has at least one image.
    class_names : tuple of str
    source : str
        The exact variant of the data, as it is printed in run records and captions.

    Raises
    ------
    DataError
        If shapes, dtypes or labels do not fit, or a class has no image.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"images must be uint8 of shape (N, C, H, W), not {self.images.dtype} "
                f"of shape {self.images.shape}; convert them first."
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"labels must be int64 of shape ({len(self.images)},), one per image, "
                f"not {self.labels.dtype} of shape {self.labels.shape}."
            )
        self._check_classes()

    def _check_classes(self) -> None:
        n = len(self.class_names)
        if len(self.labels) == 0:
            raise DataError(f"{self.source} has no images; choose a larger limit or other classes.")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= n:
            raise DataError(
                f"labels run from {low} to {high} but there are {n} class names, so they must lie "
                f"in 0..{n - 1}; check the labels of {self.source}."
            )
        empty = np.flatnonzero(np.bincount(self.labels, minlength=n) == 0)
        if len(empty):
            names = ", ".join(self.class_names[i] for i in empty[:5])
            raise DataError(
                f"no image of class {names} in {self.source}; "
                "add some, leave the class out, or choose a larger limit."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def channel_stats(self) -> tuple[list[float], list[float]]:
        """Return the mean and standard deviation of each channel, in units of [0, 1]."""
        channels = self.images.shape[1]
        counts = np.zeros((channels, 256))  # exact, whatever the number of images
        for start in range(0, len(self), 256):  # bounded memory for memory-mapped sets
            for c in range(channels):
                pixels = self.images[start : start + 256, c].ravel()
                counts[c] += np.bincount(pixels, minlength=256)
        share = counts / counts.sum(1, keepdims=True)
        level = np.arange(256) / 255
        mean = share @ level
        std = np.sqrt(np.maximum(share @ level**2 - mean**2, 0))
        return mean.tolist(), np.where(std > 0, std, 1.0).tolist()


def only_classes(data: ImageSet, classes: Sequence[str | int]) -> ImageSet:
    """Keep the images of some classes, relabelled 0, 1, ... in the order asked for.

    Parameters
    ----------
    data : ImageSet
    classes : sequence of str or int
        Class names, or their numbers in ``data``.

    Raises
    ------
    DataError
        If a class is unknown, named twice, or none is named.
    """
    wanted = [_class_number(data, c) for c in classes]
    if not wanted or len(set(wanted)) != len(wanted):
        raise DataError(f"classes={list(classes)} must name at least one class, each once.")
    keep = np.flatnonzero(np.isin(data.labels, wanted))
    relabel = np.full(len(data.class_names), -1, np.int64)
    relabel[wanted] = np.arange(len(wanted))
    names = tuple(data.class_names[i] for i in wanted)
    return ImageSet(
        data.images[keep],
        relabel[data.labels[keep]],
        names,
        f"{data.source}, only classes {', '.join(names)}",
    )


def _class_number(data: ImageSet, name: str | int) -> int:
    if isinstance(name, str) and name in data.class_names:
        return data.class_names.index(name)
    if isinstance(name, int) and 0 <= name < len(data.class_names):
        return name
    shown = ", ".join(data.class_names[:10]) + (", ..." if len(data.class_names) > 10 else "")
    raise DataError(f"no class {name!r} in {data.source}; its classes are {shown}.")


def limited(data: ImageSet, limit: int) -> ImageSet:
    """Keep ``limit`` images: a seeded draw with the class shares of the whole set.

    Larger limits keep the images of smaller ones, up to rounding of the class shares.

    Raises
    ------
    DataError
        If ``limit`` is below the number of classes or above the number of images.
    """
    n_classes = len(data.class_names)
    if not n_classes <= limit <= len(data):
        raise DataError(
            f"limit={limit} must lie between {n_classes} (one image a class) and {len(data)} "
            f"(all of {data.source})."
        )
    share = np.bincount(data.labels, minlength=n_classes) * (limit / len(data))
    take = np.maximum(np.floor(share).astype(int), 1)
    # Hand out the rest by largest remainder (and take back what the floor of one gave too much).
    while take.sum() != limit:
        step = 1 if take.sum() < limit else -1
        gap = np.where((step > 0) | (take > 1), step * (share - take), -np.inf)
        take[int(np.argmax(gap))] += step
    order = _seeded_order(data.labels, n_classes)
    keep = np.sort(np.concatenate([idx[:t] for idx, t in zip(order, take, strict=True)]))
    return replace(
        data,
        images=data.images[keep],
        labels=data.labels[keep],
        source=f"{data.source}, {limit} of them drawn evenly by class",
    )


def holdout(
    labels: NDArray[np.int64], share: float = VALIDATION_SHARE
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices into (kept, held out): a fixed share of every class is held out.

    The draw depends on the labels alone, so every method is validated on the same images. A class
    of a single image keeps it.

    Returns
    -------
    kept, held : int64 arrays, sorted, disjoint, together ``arange(len(labels))``
    """
    order = _seeded_order(labels, int(labels.max(initial=-1)) + 1)
    cuts = [min(max(round(share * len(idx)), 1), len(idx) - 1) if len(idx) else 0 for idx in order]
    # The end of the order is held out; limited() takes from its beginning.
    held = [idx[len(idx) - cut :] for idx, cut in zip(order, cuts, strict=True)]
    kept = [idx[: len(idx) - cut] for idx, cut in zip(order, cuts, strict=True)]
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))


def _seeded_order(labels: NDArray[np.int64], n_classes: int) -> list[NDArray[np.int64]]:
    """Return the indices of each class in a fixed random order."""
    return [
        np.random.default_rng([_SPLIT_SEED, c]).permutation(np.flatnonzero(labels == c))
        for c in range(n_classes)
    ]
