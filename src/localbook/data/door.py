"""``load``: one call for every image set, and the commands that fetch and check them."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from localbook.data.decoded import Decoded, digests, remembered, split_rows
from localbook.data.embedded import digits, shapes
from localbook.data.folder import decode
from localbook.data.imageset import ImageSet, limited, only_classes
from localbook.data.layout import Layout, survey
from localbook.data.official import OFFICIAL, check_official, fetch_official, read_official
from localbook.errors import ConfigError, DataError, DataWarning
from localbook.paths import data_root

_EMBEDDED = {"digits": digits, "shapes": shapes}
SPLITS = ("train", "val", "test")


def known() -> tuple[str, ...]:
    """Return the names that :func:`load` knows; a folder's path works too."""
    return (*_EMBEDDED, *OFFICIAL)


def load(
    name: str | Path,
    split: str = "train",
    *,
    root: str | Path | None = None,
    limit: int | None = None,
    classes: Sequence[str | int] | None = None,
) -> ImageSet:
    """Load one split of an image set.

    Parameters
    ----------
    name : str or Path
        One of :func:`known`, or a folder in ImageFolder layout: ``<folder>/train/<class>/<image>``
        with ``test``, ``val`` or both beside ``train``, or just ``<folder>/<class>/<image>``.
    split : {"train", "val", "test"}
        ``val`` is a tenth of each class of the published train split, drawn once and the same for
        every method; ``train`` is the rest of it. A folder with a ``val`` and a ``test`` of its own
        keeps both.
    root : path, optional
        Where downloads and decoded images live; ``$LOCALBOOK_DATA`` or ``data/cache`` by default.
    limit : int, optional
        Keep this many images, drawn evenly by class with a fixed seed.
    classes : sequence of str or int, optional
        Keep these classes, relabelled 0, 1, ... in this order.

    Returns
    -------
    ImageSet

    Raises
    ------
    DataError
        When the set is unknown, missing or damaged, its splits do not fit each other, or the choice
        of images makes no sense.

    Warns
    -----
    DataWarning
        Of what in a folder was left out, changed or chosen.

    Examples
    --------
    >>> from localbook import data
    >>> digits = data.load("digits", "train", limit=100)
    >>> digits.images.shape, digits.images.dtype
    ((100, 1, 8, 8), dtype('uint8'))
    >>> digits.class_names[:3]
    ('0', '1', '2')
    """
    if split not in SPLITS:
        raise ConfigError(f"split={split!r} must be one of {', '.join(SPLITS)}.")
    data = _whole_split(name, split, Path(root) if root is not None else data_root())
    if classes is not None:
        data = only_classes(data, classes)
    if limit is not None:
        data = limited(data, limit)
    return data


def _whole_split(name: str | Path, split: str, root: Path) -> ImageSet:
    if name in _EMBEDDED:
        return _EMBEDDED[str(name)](split)
    if name in OFFICIAL:
        return _from_official(str(name), split, root)
    return _from_folder(_existing_folder(name), split, root)


def _from_official(name: str, split: str, root: Path) -> ImageSet:
    side = "test" if split == "test" else "train"

    def read() -> Decoded:
        images, labels, class_names = read_official(name, side, root)
        rows = split_rows({side: labels}, ("test",) if side == "test" else ("train", "val"))
        order = np.concatenate(list(rows.values()))
        sizes = {name: len(index) for name, index in rows.items()}
        return Decoded(images[order], labels[order], class_names, sizes)

    data = remembered(root / "decoded", f"{name}-{side}", read)
    return _one_split(data, split, f"{OFFICIAL[name].title}, {split}")


def _existing_folder(name: str | Path) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise DataError(f"{folder} is a file; unpack it and give the folder of images.")
    if isinstance(name, Path) or "/" in name or "\\" in name:
        raise DataError(f"folder {folder} does not exist; check the path.")
    raise DataError(
        f"unknown data set {name!r}; known are {', '.join(known())}, "
        "or give the path of a folder of images."
    )


def _from_folder(folder: Path, split: str, root: Path) -> ImageSet:
    found = survey(folder)
    place = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()[:8]
    key = f"{folder.resolve().name}-{place}-{found.fingerprint}"
    data = remembered(root / "decoded", key, lambda: _decoded(found))
    for note in (*found.notes, *(f"{folder}: {note}." for note in data.notes)):
        warnings.warn(note, DataWarning, stacklevel=4)
    size = "x".join(map(str, data.images.shape[2:]))
    return _one_split(
        data, split, f"{_title(folder)} ({size}, sha256 {data.digests[split]}), {split}"
    )


def _title(folder: Path) -> str:
    """Return the first line of ``source.txt`` if the folder has one, else the folder's name."""
    note = folder / "source.txt"
    lines = note.read_text("utf-8-sig", "replace").split("\n") if note.is_file() else [""]
    return lines[0].strip() or folder.resolve().name


def _decoded(found: Layout) -> Decoded:
    """Decode all splits at once, so that one number of channels and one size holds for all."""
    labels = {name: side.labels for name, side in found.sides.items()}
    rows = split_rows(labels, SPLITS)
    order = np.concatenate(list(rows.values()))
    files = [file for side in found.sides.values() for file in side.files]
    pixels = decode([files[i] for i in order])
    side = np.repeat(np.arange(len(labels)), [len(of_side) for of_side in labels.values()])[order]
    grey = {name: pixels.grey[side == i].mean() for i, name in enumerate(labels)}
    if {0.0, 1.0} <= set(grey.values()):
        shown = ", ".join(f"{n} {'grey' if g == 1 else 'coloured'}" for n, g in grey.items())
        raise DataError(f"the splits have images of other kinds ({shown}); bring them to one mode.")
    data = Decoded(
        pixels.images,
        np.concatenate(list(labels.values()))[order],
        found.class_names,
        {name: len(index) for name, index in rows.items()},
        tuple(pixels.notes),
    )
    return replace(data, digests=digests(data, list(labels)))


def _one_split(data: Decoded, split: str, source: str) -> ImageSet:
    rows = data.slice(split)
    return ImageSet(data.images[rows], data.labels[rows], data.class_names, source)


def fetch(name: str, root: str | Path | None = None) -> Path:
    """Download a published set, with a progress bar; what is there and whole is kept.

    Returns
    -------
    Path
        The folder its files are in.

    Raises
    ------
    DataError
        Without network, on a wrong checksum, or for a name that is not a published set.
    """
    if name not in OFFICIAL:
        raise DataError(f"{name!r} cannot be fetched; published sets are {', '.join(OFFICIAL)}.")
    place = Path(root) if root is not None else data_root()
    fetch_official(name, place)
    return place / OFFICIAL[name].folder


def check(name: str | Path, root: str | Path | None = None) -> list[str]:
    """Verify the files of a set and return one line for each that was verified.

    Published archives are compared with their checksums; a folder of images is decoded whole.

    Raises
    ------
    DataError
        Naming the first file that is missing or damaged.
    """
    if name in _EMBEDDED:
        return [f"{name} is embedded: nothing to check"]
    if name in OFFICIAL:
        return check_official(str(name), Path(root) if root is not None else data_root())
    found = survey(_existing_folder(name))
    _decoded(found)
    return [f"{s.folder}: {len(s.files)} images are whole" for s in found.sides.values()]
