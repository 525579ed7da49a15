"""Modes, depths and damage of image files: the right numbers, or one sentence."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from localbook import data
from localbook.errors import DataError, DataWarning

RAMP = np.rint(np.linspace(0, 65535, 48)).astype(np.uint16).reshape(6, 8)
EIGHT = np.rint(RAMP / 257).astype(np.uint8)
COLOUR = np.stack([EIGHT, 255 - EIGHT, EIGHT // 2], 2)


@pytest.fixture
def load(tmp_path, heard):
    """Write images as class a of all splits; return those loaded as test, and what was said."""

    def load(*images, suffix=".png", **options):
        for side in data.SPLITS:
            (tmp_path / "set" / side / "a").mkdir(parents=True)
            for i, image in enumerate(images):
                image.save(tmp_path / "set" / side / "a" / f"{i}{suffix}", **options)
        sets, words = heard(tmp_path / "set")
        return sets[2].images, words

    return load


DEEP = "have more than 8 bits"
CLEAR = "laid on white"


@pytest.mark.parametrize(
    ("image", "suffix", "right", "said"),
    [
        (Image.fromarray(RAMP), ".png", EIGHT, DEEP),
        (Image.fromarray(RAMP), ".tif", EIGHT, DEEP),
        (Image.fromarray(RAMP.astype(">u2")), ".tif", EIGHT, DEEP),
        (Image.fromarray(RAMP), ".pgm", EIGHT, DEEP),
        (Image.fromarray((RAMP / 65535).astype(np.float32)), ".tif", EIGHT, DEEP),
        (Image.fromarray(EIGHT > 127), ".png", 255 * (EIGHT > 127), ""),
        (Image.fromarray(np.stack([EIGHT, np.full_like(EIGHT, 255)], 2), "LA"), ".png", EIGHT, ""),
        (Image.fromarray(np.stack([EIGHT, 0 * EIGHT], 2), "LA"), ".png", 255 + 0 * EIGHT, CLEAR),
        (Image.fromarray(EIGHT).convert("P"), ".png", EIGHT, ""),
        (Image.fromarray(COLOUR), ".png", COLOUR, ""),
        (Image.fromarray(COLOUR), ".tif", COLOUR, ""),
        (Image.fromarray(np.dstack([COLOUR, 255 + 0 * EIGHT]), "RGBA"), ".png", COLOUR, ""),
        (Image.fromarray(np.dstack([COLOUR, 0 * EIGHT]), "RGBA"), ".tif", 255 + 0 * COLOUR, CLEAR),
        (Image.fromarray(np.dstack([COLOUR, 0 * EIGHT]), "CMYK"), ".tif", 255 - COLOUR, ""),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_modes_depths_and_transparency(load, image, suffix, right, said):
    images, words = load(image, suffix=suffix)
    right = right if right.ndim == 3 else right[..., None]
    assert np.array_equal(images[0].transpose(1, 2, 0), right)
    assert said in words
    assert bool(said) == bool(words)


def png(kind, levels, clear):
    """Return a PNG file of 16 bits a channel with one transparent level: Pillow writes none."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    head = struct.pack(">IIBBBBB", levels.shape[1], len(levels), 16, kind, 0, 0, 0)
    parts = {b"IHDR": head, b"tRNS": clear, b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in parts.items()
    )


def test_the_transparent_level_of_16_bits(tmp_path, heard):
    grey = RAMP.copy()
    for side in data.SPLITS:
        (tmp_path / "set" / side / "a").mkdir(parents=True)
        file = tmp_path / "set" / side / "a" / "0.png"
        file.write_bytes(png(0, grey, struct.pack(">H", grey[0, 3])))
    sets, words = heard(tmp_path / "set")
    right = EIGHT.copy()
    right[0, 3] = 255
    assert np.array_equal(sets[2].images[0, 0], right)
    assert CLEAR in words
    file.write_bytes(png(2, np.dstack([grey] * 3), struct.pack(">HHH", 9, 9, 9)))
    with pytest.raises(DataError, match="save it with an alpha channel"):
        data.load(tmp_path / "set", "test")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "P", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr", "I;16", "F"]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    share=st.floats(0, 1),
)
def test_an_even_grey_stays_the_grey_it_is(tmp_path_factory, mode, size, share):
    level = round(255 * share)
    image = Image.new("L", size, level)
    if mode == "1":
        level = 255 if level >= 128 else 0
        image = image.point(lambda v: 255 if v >= 128 else 0).convert("1", dither=0)
    elif mode == "F":
        image = Image.new("F", size, level / 255)
    elif mode == "I;16":
        image = Image.fromarray(np.full(size[::-1], 257 * level, np.uint16))
    else:
        image = image.convert("RGB").convert(mode) if mode != "P" else image.convert("P")
    home = tmp_path_factory.mktemp("even")
    for side in ("train", "val", "test"):
        (home / side / "a").mkdir(parents=True)
        image.save(home / side / "a" / "x.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        images = data.load(home, "train", root=home / "cache").images
    assert images.shape[2:] == size[::-1]
    assert len(images[0]) == (1 if mode in ("1", "L", "P", "I;16", "F") else 3)
    assert np.abs(images.astype(int) - level).max() <= (1 if mode == "YCbCr" else 0)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (Image.fromarray(np.full((6, 8), 300, np.int32)), "32-bit integers, of which nothing says"),
        (Image.fromarray(np.full((6, 8), 2.0, np.float32)), "values from 2 to 2, not from 0 to 1"),
        (Image.fromarray(np.full((6, 8), np.nan, np.float32)), "values from nan to nan, not from"),
        (Image.fromarray(np.full((6, 8), -0.1, np.float32)), "values from -0.1 to -0.1, not from"),
    ],
)
def test_values_of_no_known_scale_are_refused(load, image, sentence):
    with pytest.raises(DataError, match=rf"0\.tif has {sentence}"):
        load(image, suffix=".tif")


def test_colour_is_decided_by_all_files(load):
    images, words = load(*[Image.fromarray(EIGHT)] * 101, Image.fromarray(COLOUR))
    assert images.shape[1] == 3
    assert "303 of 306 images are grey and are given three equal channels" in words


def test_grey_in_one_split_and_colour_in_the_other_is_refused(tmp_path):
    for side, pixels in (("train", COLOUR), ("test", EIGHT)):
        (tmp_path / side / "a").mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / side / "a" / "x.png")
    with pytest.raises(DataError, match=r"train coloured, test grey\); bring them to one mode"):
        data.load(tmp_path)


def test_other_sizes_in_the_splits_are_refused(tmp_path):
    for side, size in (("train", (8, 6)), ("test", (6, 8))):
        (tmp_path / side / "a").mkdir(parents=True)
        for i in range(2):
            Image.new("L", size).save(tmp_path / side / "a" / f"{i}.png")
    with pytest.raises(DataError, match=r"test/a/0\.png is 6x8 pixels but .*png is 8x6"):
        data.load(tmp_path, "train")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_images_are_turned_upright(load, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    image = Image.fromarray(np.repeat(EIGHT[:, :1], 8, 1))  # rows of one grey
    images, words = load(image, suffix=suffix, exif=exif)
    assert images.shape[2:] == (8, 6)
    assert np.abs(images[0, 0].astype(int) - EIGHT[::-1, 0]).max() < 30
    assert "turned as their EXIF orientation says" in words


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp"])
def test_the_first_of_several_frames_is_read(load, suffix):
    frames = [Image.new("L", (8, 6), level) for level in (200, 10)]
    images, words = load(frames[0], suffix=suffix, save_all=True, append_images=frames[1:])
    assert np.abs(images.astype(int) - 200).max() < 3
    assert "several frames or pages, of which the first is read" in words


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "bomb"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".bmp", ".tif", ".webp", ".ppm"])
def test_damaged_files_are_named(tmp_path, monkeypatch, suffix, damage):
    for side in ("train", "test"):
        (tmp_path / side / "a").mkdir(parents=True)
        Image.fromarray(COLOUR).save(tmp_path / side / "a" / f"x{suffix}")
    file = tmp_path / "test" / "a" / f"x{suffix}"
    whole = file.read_bytes()
    file.write_bytes(
        {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"x" * 99}.get(damage, whole)
    )
    if damage == "bomb":  # as a picture of 180 million pixels is to the usual bound
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError, match=rf"a/x\{suffix} is truncated or not an image"):
        data.load(tmp_path)
