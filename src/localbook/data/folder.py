"""Image files decoded to one array, whatever their format, mode, depth or orientation."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from localbook.errors import DataError

# Those of images, not of documents or metafiles.
_FORMATS = "AVIF BMP DIB GIF ICO JPEG JPEG2000 MPO PCX PNG PPM QOI SGI TGA TIFF WEBP".split()  # noqa: SIM905
_ORIENTATION = 0x0112  # EXIF
_FRAMES = "have several frames or pages, of which the first is read"
_TURNED = "are turned as their EXIF orientation says"
_DEEP = "have more than 8 bits a pixel and channel, scaled to 0..255"
_CLEAR = "have transparent pixels and are laid on white"
_GREY = "are grey and are given three equal channels, since others are in colour"


class Pixels(NamedTuple):
    """Decoded images, and which of them are grey by their mode."""

    images: NDArray[np.uint8]
    grey: NDArray[np.bool_]
    notes: list[str]


def decode(files: Sequence[str], *, centre_crop: int | None = None) -> Pixels:
    """Decode image files to uint8 pixels (N, C, H, W), grey if every file is, with a progress bar.

    Without the side of a ``centre_crop`` all images must have the same size. With the pixels come
    ``grey`` (N,), and notes: how many images had to be changed, and in which way. The first file
    that is damaged, of another size, or whose values have no known scale is a DataError.
    """
    from tqdm import tqdm

    first, _ = _decode_one(files[0], centre_crop)
    images = np.empty((len(files), 3, *first.shape[:2]), np.uint8)
    grey = np.empty(len(files), np.bool_)

    def place(i: int) -> list[str]:
        pixels, seen = _decode_one(files[i], centre_crop)
        if pixels.shape[:2] != first.shape[:2]:
            (h, w), (h0, w0) = pixels.shape[:2], first.shape[:2]
            raise DataError(
                f"{files[i]} is {w}x{h} pixels but {files[0]} is {w0}x{h0}; "
                "bring all images to one size."
            )
        grey[i] = pixels.ndim == 2
        images[i] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return seen

    counts: Counter[str] = Counter()
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        work = pool.map(place, range(len(files)))
        try:
            for seen in tqdm(work, "decoding", len(files), unit="image"):
                counts.update(seen)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if grey.all():
        images = images[:, :1]
    elif grey.any():
        counts[_GREY] = int(grey.sum())
    return Pixels(
        images, grey, [f"{n} of {len(files)} images {what}" for what, n in counts.items()]
    )


def _decode_one(file: str, centre_crop: int | None) -> tuple[NDArray[np.uint8], list[str]]:
    """Return one image, (H, W) if it is grey and (H, W, 3) otherwise, and what was done to it."""
    seen: list[str] = []
    with _opened(file) as image:
        if getattr(image, "is_animated", False):
            seen.append(_FRAMES)
        pixels = np.asarray(_plain(image, file, seen))
    if centre_crop is not None:
        top, left = ((side - centre_crop) // 2 for side in pixels.shape[:2])
        pixels = pixels[top : top + centre_crop, left : left + centre_crop]
    return pixels, seen


def _plain(image: Image.Image, file: str, seen: list[str]) -> Image.Image:
    """Return an upright image of mode L or RGB."""
    if "transparency" in image.info and any(
        tile[3] == "RGB;16B" for tile in getattr(image, "tile", ())
    ):
        raise DataError(
            f"{file} has 16 bits a channel and one transparent colour, which 8 bits cannot tell "
            "from its neighbours; save it with an alpha channel."
        )
    whole = image.format in ("PNG", "PPM")  # 16 bits, though Pillow may say mode I
    if image.getexif().get(_ORIENTATION, 1) in range(2, 9):
        seen.append(_TURNED)
        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        seen.append(_DEEP)
        image = _eight_bits(image, file, image.mode != "I" or whole, seen)
    mode = image.mode
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("LA" if mode == "La" else mode).convert("RGBA")
        if image.getchannel(3).getextrema() != (255, 255):
            seen.append(_CLEAR)
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if mode in ("1", "L", "LA", "La"):
        return image.convert("L")
    image = image.convert("RGB")
    if mode in ("P", "PA") and len({channel.tobytes() for channel in image.split()}) == 1:
        return image.convert("L")  # the colours that it uses are grey
    return image


def _eight_bits(image: Image.Image, file: str, known: bool, seen: list[str]) -> Image.Image:
    """Scale 16 bits, or floats from 0 to 1, to 0..255; wider integers have no known white."""
    if not known:
        raise DataError(
            f"{file} has 32-bit integers, of which nothing says what is white; "
            "save it with 8 or 16 bits."
        )
    levels = np.asarray(image)
    top = 1 if image.mode == "F" else 65535
    clear = levels == image.info.get("transparency", -1)  # the one level that a PNG may name
    if clear.any():
        seen.append(_CLEAR)
        levels = np.where(clear, top, levels)
    low, high = levels.min(), levels.max()
    if not 0 <= low <= high <= top:  # nor NaN
        raise DataError(
            f"{file} has values from {low:g} to {high:g}, not from 0 to {top}; "
            "scale them, or save it with 8 bits."
        )
    return Image.fromarray(np.rint(levels * (255 / top)).astype(np.uint8))


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of the image formats that are read, in lower case."""
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in _FORMATS)


@contextmanager
def _opened(file: str) -> Iterator[Image.Image]:
    """Open an image; any failure to read it becomes one sentence that names the file."""
    try:
        # As a stream: by name, Pillow 13 maps an uncompressed TIFF, and garbles it if it is turned.
        with open(file, "rb") as stream, Image.open(stream, formats=_formats()) as image:  # noqa: PTH123
            yield image
    except DataError:
        raise
    except Exception as error:  # Pillow raises some ten kinds on damaged and on huge files
        raise DataError(
            f"{file} is truncated or not an image that can be read ({error}); "
            "replace, convert or remove the file."
        ) from error
