"""Folders of image files: finding them, naming what is wrong with them, decoding them."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from localbook.errors import DataError
from localbook.progress import progress

_EXTENSIONS = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True, eq=False)
class Samples:
    """Image files with labels, not yet decoded."""

    files: list[Path]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]


def from_folders(folder: Path) -> Samples:
    """List ``folder/<class>/**/<image>``, classes and files in sorted order.

    Raises
    ------
    DataError
        When there is no class folder, or one holds no image.
    """
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    classes = [name for name in classes if not name.startswith(".")]
    if not classes:
        raise DataError(
            f"{folder} has no class folders; lay the images out as {folder}/<class>/<image>."
        )
    files: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        mine = sorted(Path(e.path) for e in walk(folder / name) if _is_image(e.name))
        if not mine:
            raise DataError(f"class folder {folder / name} has no image; add some or remove it.")
        files += mine
        labels += [number] * len(mine)
    return Samples(files, np.array(labels, np.int64), tuple(classes))


def walk(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield every file below ``folder``, without hidden ones."""
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from walk(entry.path)
        else:
            yield entry


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _EXTENSIONS  # noqa: PTH122 -- 100,000 calls


def fingerprint(folder: Path) -> str:
    """Return a hash of every file's name, size and time: it changes when the folder does."""
    rows = []
    for entry in walk(folder):
        stat = entry.stat()
        rows.append(f"{entry.path}\t{stat.st_size}\t{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16]


def decode(
    samples: Samples, *, centre_crop: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode image files to one array, with a progress bar.

    Parameters
    ----------
    samples : Samples
    centre_crop : int, optional
        Side of the square cut from the middle of each image; without it all images must have the
        same size.

    Returns
    -------
    images : uint8 array, shape (N, C, H, W)
        Grey (C = 1) only if every one of the first hundred files is grey, else colour (C = 3).
    labels : int64 array, shape (N,)

    Raises
    ------
    DataError
        Naming the first file that is damaged or of another size.
    """
    mode = "L" if all(_mode(f) in ("L", "1") for f in samples.files[:100]) else "RGB"
    first = _decode_one(samples.files[0], mode, centre_crop)
    images = np.empty((len(samples.files), *first.shape), np.uint8)

    def place(i: int) -> None:
        image = _decode_one(samples.files[i], mode, centre_crop)
        if image.shape != first.shape:
            raise DataError(
                f"{samples.files[i]} is {image.shape[2]}x{image.shape[1]} pixels but "
                f"{samples.files[0]} is {first.shape[2]}x{first.shape[1]}; "
                "bring all images to one size."
            )
        images[i] = image

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        work = pool.map(place, range(len(images)))
        try:
            for _ in progress(work, "decoding", len(images), "image"):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return images, samples.labels


def _mode(file: Path) -> str:
    with _opened(file) as image:
        return image.mode


def _decode_one(file: Path, mode: str, centre_crop: int | None) -> NDArray[np.uint8]:
    """Return one image as (C, H, W)."""
    with _opened(file) as image:
        pixels = np.asarray(image.convert(mode))
    if centre_crop is not None:
        top, left = ((side - centre_crop) // 2 for side in pixels.shape[:2])
        pixels = pixels[top : top + centre_crop, left : left + centre_crop]
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@contextmanager
def _opened(file: Path) -> Iterator[Image.Image]:
    """Open an image; any failure to read it becomes one sentence that names the file."""
    try:
        with Image.open(file) as image:
            yield image
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on damaged files
        raise DataError(
            f"{file} is truncated or not an image ({error}); replace or remove the file."
        ) from error
