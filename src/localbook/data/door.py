"""``load``: one call for every image set, and the commands that fetch and check them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from localbook.data.decoded import Decoded, arrange, remembered
from localbook.data.embedded import digits, shapes
from localbook.data.folder import decode, fingerprint, from_folders
from localbook.data.imageset import ImageSet, limited, only_classes
from localbook.data.official import OFFICIAL, Arrays, check_official, fetch_official, read_official
from localbook.errors import ConfigError, DataError
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
        with ``test`` (or ``val``) beside ``train``, or just ``<folder>/<class>/<image>``.
    split : {"train", "val", "test"}
        ``val`` is a tenth of each class of the published train split, drawn once and the same for
        every method; ``train`` is the rest of it.
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
        When the set is unknown, missing or damaged, or the choice of images makes no sense.
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
    splits = ("test",) if split == "test" else ("train", "val")
    data, _ = remembered(
        root / "decoded",
        f"{name}-{side}",
        lambda: arrange(*read_official(name, side, root), splits),
    )
    return _one_split(data, split, f"{OFFICIAL[name].title}, {split}")


def _existing_folder(name: str | Path) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(name, Path) or "/" in name or "\\" in name:
        raise DataError(f"folder {folder} does not exist; check the path.")
    raise DataError(
        f"unknown data set {name!r}; known are {', '.join(known())}, "
        "or give the path of a folder of images."
    )


def _from_folder(folder: Path, split: str, root: Path) -> ImageSet:
    """Load a split of an image folder; without ``train/`` the test split is held out too."""
    side: Path = folder
    splits: tuple[str, ...] = SPLITS
    if (folder / "train").is_dir():
        side = _test_side(folder) if split == "test" else folder / "train"
        splits = ("test",) if split == "test" else ("train", "val")
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    data, digest = remembered(
        root / "decoded",
        f"{folder.resolve().name}-{place}-{splits[0]}-{fingerprint(side)}",
        lambda: arrange(*_decoded(side), splits),
    )
    size = "x".join(map(str, data.images.shape[2:]))
    return _one_split(data, split, f"{_title(folder)} ({size}, sha256 {digest}), {split}")


def _title(folder: Path) -> str:
    """Return the first line of ``source.txt`` if the folder has one, else the folder's name."""
    note = folder / "source.txt"
    return note.read_text().splitlines()[0].strip() if note.is_file() else folder.resolve().name


def _test_side(folder: Path) -> Path:
    for name in ("test", "val"):
        if (folder / name).is_dir():
            return folder / name
    raise DataError(f"{folder} has train/ but neither test/ nor val/; add one of them.")


def _decoded(side: Path) -> Arrays:
    samples = from_folders(side)
    images, labels = decode(samples)
    return images, labels, samples.class_names


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
    folder = _existing_folder(name)
    sides = [folder]
    if (folder / "train").is_dir():
        sides = [folder / "train", _test_side(folder)]
    return [f"{side}: {len(_decoded(side)[1])} images are whole" for side in sides]
