"""Decoded images kept on disk, so that they are decoded once and memory-mapped ever after."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from localbook.data.imageset import holdout
from localbook.errors import DataError


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images of a set, ordered so that each of our splits is one slice of them."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sizes: dict[str, int]
    """How many images each of our splits has, in storage order."""
    notes: tuple[str, ...] = ()
    """What a user must know of how they were read."""
    digests: dict[str, str] = field(default_factory=dict)
    """The first 12 hex digits of the SHA-256 of pixels and labels, of the side each split is of."""

    def slice(self, *splits: str) -> slice:
        """Return the rows of neighbouring splits; slicing a memory map copies nothing."""
        names = list(self.sizes)
        start = sum(self.sizes[name] for name in names[: names.index(splits[0])])
        return slice(start, start + sum(self.sizes[name] for name in splits))


def split_rows(
    sides: Mapping[str, NDArray[np.int64]], splits: Sequence[str]
) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split in the published sides laid end to end.

    From the labels of each side. Of a split that is not published, ``test`` is a fifth and ``val``
    a tenth held out of train.
    """
    labels = np.concatenate(list(sides.values()))
    ends = np.cumsum([len(side) for side in sides.values()])
    rows = {n: np.arange(end - len(sides[n]), end) for n, end in zip(sides, ends, strict=True)}
    for name, share in (("test", 0.2), ("val", 0.1)):
        if name in splits and name not in rows:
            kept, held = holdout(labels[rows["train"]], share)
            rows[name], rows["train"] = rows["train"][held], rows["train"][kept]
    return {name: rows[name] for name in splits}


def remembered(store: Path, key: str, read: Callable[[], Decoded]) -> Decoded:
    """Return what is kept under ``key``; where nothing is, call ``read`` and keep its answer.

    The images come back memory-mapped and read-only. What is kept appears in one rename, so an
    interrupted first load leaves nothing half-written behind.
    """
    folder = store / key
    if not (folder / "meta.json").is_file():
        _keep(folder, read)
    meta = json.loads((folder / "meta.json").read_text())
    return Decoded(
        np.load(folder / "images.npy", mmap_mode="r"),
        np.load(folder / "labels.npy"),
        tuple(meta["class_names"]),
        meta["sizes"],
        tuple(meta.get("notes", ())),  # published sets that an earlier version kept have none
        meta.get("digests", {}),
    )


def digests(data: Decoded, published: Sequence[str]) -> dict[str, str]:
    """Return :attr:`Decoded.digests`: of one side are the splits that are not published."""
    own = [name for name in data.sizes if name in published and name != "train"]
    shared = [name for name in data.sizes if name not in own]
    found: dict[str, str] = {}
    for part in (shared, *([name] for name in own)):
        rows = data.slice(*part)
        digest = hashlib.sha256(np.ascontiguousarray(data.images[rows]).data)
        digest.update(data.labels[rows].tobytes())
        found |= dict.fromkeys(part, digest.hexdigest()[:12])
    return found


@contextmanager
def _writing(store: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"decoded images cannot be kept in {store} ({error.strerror}); set LOCALBOOK_DATA to "
            "a folder that can be written to."
        ) from error


def _keep(folder: Path, read: Callable[[], Decoded]) -> None:
    with _writing(folder.parent):  # before the images are read, which may take long
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        data = read()
        meta = {name: getattr(data, name) for name in ("class_names", "sizes", "notes", "digests")}
        with _writing(folder.parent):
            np.save(partial / "images.npy", data.images)
            np.save(partial / "labels.npy", data.labels)
            (partial / "meta.json").write_text(json.dumps(meta))
        if not (folder / "meta.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)  # what was half deleted
        with suppress(OSError):  # another process was first
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
