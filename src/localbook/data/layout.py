"""How people lay image folders out: which files there are, of which split and which class."""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from localbook.data.folder import suffixes
from localbook.errors import DataError

_CLUTTER = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found")
# train, Training, train_set, seg_train, train2017, images-train, ...: compared without the rest.
_SPLIT = re.compile(
    r"(?:seg|images?|imgs?|data(?:set)?)?"
    r"(?P<split>train(?:ing)?|val(?:id(?:ation)?)?|dev|eval(?:uation)?|test(?:ing)?)"
    r"(?:set|images?|imgs?|data|split)?"
)
_TABLE = "val_annotations.txt"  # of Tiny ImageNet
_OURS = ("source.txt", _TABLE)
_FORMAT = "2"  # of what is decoded from the same files: a higher number makes old caches unused

ByClass = dict[str, list[str]]
Left = defaultdict[str, list[str]]


@dataclass(frozen=True, eq=False)
class Side:
    """The image files of one published split, in the order of their classes and paths."""

    folder: Path
    files: list[str]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """What an image folder holds; its notes say what was left out or had to be chosen."""

    sides: dict[str, Side]
    """By split: ``train`` always, ``test`` and ``val`` where the folder has them."""
    class_names: tuple[str, ...]
    fingerprint: str
    """Another one as soon as a file or its place changes."""
    notes: tuple[str, ...]


def survey(folder: Path) -> Layout:
    """Find the images below a folder.

    A DataError names where the layout is none that is known, the splits have other classes, a class
    has no image, or a folder or link cannot be followed.
    """
    left: Left = defaultdict(list)
    notes: list[str] = []
    home = _home(folder, left)
    if home != folder:
        notes.append(f"{folder}: the images are those in {home}.")
    if _has_splits(home):
        found = _published(home, left, notes)
    else:
        found = {"train": (home, _flat(home, left))}
        notes.append(
            f"{home} has no train/ folder: a fifth of each class is held out as test and a tenth "
            "of the rest as val, by a fixed seed."
        )
    class_names = tuple(found["train"][1])
    sides = {}
    rows = [_FORMAT]
    for split, (place, by_class) in found.items():
        files = [file for name in class_names for file in by_class[name]]
        counts = [len(by_class[name]) for name in class_names]
        sides[split] = Side(place, files, np.repeat(np.arange(len(counts)), counts))
        rows.append(f"{split} {counts}")
        rows += [_state(file, home) for file in files]
    digest = hashlib.sha256("\n".join((*rows, *class_names)).encode(errors="surrogateescape"))
    parts = [f"{len(names)} {why} ({_few(names)})" for why, names in left.items() if names]
    if parts:
        notes.append(f"{folder}: left out {'; '.join(parts)}.")
    return Layout(sides, class_names, digest.hexdigest()[:16], tuple(notes))


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _state(file: str, home: Path) -> str:
    try:
        stat = os.stat(file)  # noqa: PTH116 -- 100,000 calls
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); mend or remove it.") from error
    # The time of change as well: copying tools set the time of modification back.
    return f"{file[len(str(home)) :]}\t{stat.st_size}\t{stat.st_mtime_ns}\t{stat.st_ctime_ns}"


def _entries(folder: Path, left: Left | None = None) -> tuple[list[Path], list[str]]:
    """Return the folders and the images in a folder; what is neither is noted in ``left``."""
    left = defaultdict(list) if left is None else left
    folders, images = [], []
    try:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            name, path = entry.name, entry.path
            if name.startswith(".") or name in _CLUTTER:
                left["hidden"].append(name)
            elif entry.is_symlink() and not Path(path).exists():
                raise DataError(f"{path} is a link that leads nowhere; mend or remove it.")
            elif entry.is_dir():
                folders.append(Path(path))
            elif os.path.splitext(name)[1].lower() in suffixes() and entry.is_file():  # noqa: PTH122
                images.append(path)
            elif name not in _OURS:
                left["of no image format"].append(name)
    except OSError as error:
        raise DataError(
            f"folder {folder} cannot be read ({error.strerror}); check its permissions and links."
        ) from error
    return folders, images


def _split_of(folder: Path) -> str | None:
    match = _SPLIT.fullmatch(re.sub(r"[^a-z]", "", folder.name.lower()))
    return {"tr": "train", "te": "test"}.get(match["split"][:2], "val") if match else None


def _has_splits(folder: Path) -> bool:
    """Tell splits from classes: a class may be called train, but then holds images itself."""
    folders, _ = _entries(folder)
    named = [inner for inner in folders if _split_of(inner)]
    return bool(named) and (
        len(named) == len(folders)
        or any(_split_of(inner) == "train" and _entries(inner)[0] for inner in named)
    )


def _home(folder: Path, left: Left) -> Path:
    """Go down as long as one folder holds the whole set: dataset/dataset/train."""
    if _has_splits(folder):
        return folder
    beside: Left = defaultdict(list)
    folders, images = _entries(folder, beside)
    inside = [inner for inner in folders if _has_splits(inner)]
    if not inside and len(folders) == 1 and not images:
        deeper = _home(folders[0], beside)
        classes, loose = _entries(deeper)
        if _has_splits(deeper) or (len(classes) > 1 and not loose):
            _merge(left, beside)
            return deeper
    if len(inside) != 1:
        return folder
    beside["beside it"] += _names(images) + _names(f for f in folders if f != inside[0])
    _merge(left, beside)
    return inside[0]


def _names(files: Iterable[Path | str]) -> list[str]:
    return [Path(file).name for file in files]


def _merge(left: Left, more: Left) -> None:
    for why, names in more.items():
        left[why] += names


def _published(home: Path, left: Left, notes: list[str]) -> dict[str, tuple[Path, ByClass]]:
    """Read the splits that a folder comes with."""
    folders, images = _entries(home, left)
    left["beside the splits"] += _names(images)
    places: dict[str, Path] = {}
    for folder in folders:
        split = _split_of(folder)
        if split is None:
            left["beside the splits"].append(f"{folder.name}/")
        elif split in places:
            raise DataError(f"{places[split]} and {folder} are both {split}; keep one of them.")
        else:
            places[split] = _inmost(folder, split)
    if "train" not in places:
        raise DataError(
            f"{home} has {_few([f'{p.name}/' for p in places.values()])} but no train/; add it."
        )
    sides = {"train": (places["train"], _by_class(places["train"], left))}
    classes = sides["train"][1]
    for split in ("val", "test"):
        if split not in places:
            continue
        place = places[split]
        by_class = _annotated(place, left)
        if not by_class:
            names = [inner.name for inner in _entries(place)[0]]
            if not names or (len(names) == 1 and len(classes) > 1 and names[0] not in classes):
                left["whose images have no class folders"].append(f"{place.name}/")
                continue
            by_class = _by_class(place, left)
        _compare(places["train"], classes, place, by_class)
        sides[split] = (place, by_class)
    if "test" not in sides:
        if "val" not in sides:
            raise DataError(
                f"{home} has {places['train'].name}/ but neither test/ nor val/ with class "
                "folders in it; add one of them."
            )
        sides["test"] = sides.pop("val")
        notes.append(
            f"{home} has no test/ with classes: {places['val'].name}/ is the test split, and a "
            f"tenth of each class of {places['train'].name}/ is held out as val."
        )
    return sides


def _inmost(folder: Path, split: str) -> Path:
    """Follow seg_train/seg_train."""
    folders, images = _entries(folder)
    if len(folders) == 1 and not images and _split_of(folders[0]) == split:
        return _inmost(folders[0], split)
    return folder


def _compare(train: Path, ours: ByClass, other: Path, theirs: ByClass) -> None:
    """Refuse splits of different classes: a label is the number of a class."""
    gaps = [
        f"only {place} has {_few(sorted(names))}"
        for place, names in ((train, set(ours) - set(theirs)), (other, set(theirs) - set(ours)))
        if names
    ]
    if gaps:
        raise DataError(
            f"the splits have different class folders: {' and '.join(gaps)}; give them the same."
        )


def _flat(home: Path, left: Left) -> ByClass:
    """Read class folders without splits."""
    for folder in _entries(home)[0]:
        if _has_splits(folder):
            raise DataError(
                f"{folder} has splits inside a class; lay the images out as "
                f"{home}/<split>/<class>/<image>, or give {folder} alone."
            )
    return _by_class(home, left)


def _by_class(side: Path, left: Left) -> ByClass:
    """List ``side/<class>/**/<image>``."""
    folders, images = _entries(side, left)
    if not folders:
        raise DataError(
            f"{side} has no class folders; lay the images out as {side}/<class>/<image>."
        )
    left["outside of the class folders"] += _names(images)
    by_class: ByClass = {}
    for folder in folders:
        mine: Left = defaultdict(list)
        by_class[folder.name] = sorted(_walk(folder, mine, ()))
        if not by_class[folder.name]:
            others = (
                f" (not {_few([name for names in mine.values() for name in names])})"
                if mine
                else ""
            )
            raise DataError(f"class folder {folder} has no image{others}; add some or remove it.")
        _merge(left, mine)
    return by_class


def _walk(folder: Path, left: Left, above: tuple[str, ...]) -> Iterator[str]:
    """Yield every image below a folder, through links to folders as well."""
    real = os.path.realpath(folder)
    if any(Path(outer).is_relative_to(real) for outer in above):
        raise DataError(f"{folder} is a link to a folder that holds it; remove the link.")
    folders, images = _entries(folder, left)
    yield from images
    for inner in folders:
        yield from _walk(inner, left, (*above, real))


def _annotated(side: Path, left: Left) -> ByClass:
    """Read Tiny ImageNet's val split, whose classes stand in a table; empty where there is none."""
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    if (side / _TABLE).is_file():
        for line in (side / _TABLE).read_text().splitlines():
            name, wnid, *_ = (*line.split("\t"), "")
            by_class[wnid].append(str(side / "images" / name))
        listed = {file for files in by_class.values() for file in files}
        loose = _names(file for file in _walk(side, left, ()) if file not in listed)
        left[f"not listed in {_TABLE}"] += loose
    return {name: sorted(files) for name, files in sorted(by_class.items())}
