"""Decoded images kept on disk, so that they are decoded once and memory-mapped ever after."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from localbook.data.imageset import holdout


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images of one published split, ordered so that each of our splits is one slice of them."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sizes: dict[str, int]
    """How many images each of our splits has, in storage order."""

    def slice(self, split: str) -> slice:
        """Return the rows of a split; slicing a memory map copies nothing."""
        names = list(self.sizes)
        start = sum(self.sizes[name] for name in names[: names.index(split)])
        return slice(start, start + self.sizes[split])


def arrange(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    splits: tuple[str, ...],
) -> Decoded:
    """Hold out what ``splits`` asks for, a tenth for ``val`` and a fifth for ``test``.

    Parameters
    ----------
    splits : tuple of str
        ``("test",)``, ``("train", "val")`` or ``("train", "val", "test")``.
    """
    index = {splits[0]: np.arange(len(labels))}
    for name, share in (("test", 0.2), ("val", 0.1)):
        if name in splits and name != splits[0]:
            kept, held = holdout(labels[index["train"]], share)
            index[name], index["train"] = index["train"][held], index["train"][kept]
    order = np.concatenate([index[name] for name in splits])
    sizes = {name: len(index[name]) for name in splits}
    return Decoded(images[order], labels[order], class_names, sizes)


def remembered(store: Path, key: str, read: Callable[[], Decoded]) -> tuple[Decoded, str]:
    """Return what is kept under ``key``; where nothing is, call ``read`` and keep its answer.

    The images come back memory-mapped and read-only. What is kept appears in one rename, so an
    interrupted first load leaves nothing half-written behind.

    Returns
    -------
    decoded : Decoded
    digest : str
        The first 12 hex digits of the SHA-256 of pixels and labels.
    """
    folder = store / key
    if not (folder / "meta.json").is_file():
        _keep(folder, read())
    meta = json.loads((folder / "meta.json").read_text())
    images = np.load(folder / "images.npy", mmap_mode="r")
    labels = np.load(folder / "labels.npy")
    return Decoded(images, labels, tuple(meta["class_names"]), meta["sizes"]), meta["digest"]


def _keep(folder: Path, data: Decoded) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        np.save(partial / "images.npy", data.images)
        np.save(partial / "labels.npy", data.labels)
        digest = hashlib.sha256(np.ascontiguousarray(data.images).data)
        digest.update(data.labels.tobytes())
        meta = {
            "class_names": data.class_names,
            "sizes": data.sizes,
            "digest": digest.hexdigest()[:12],
        }
        (partial / "meta.json").write_text(json.dumps(meta))
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
