"""Folders as people have them: what is loaded, and what is said of the rest."""

import os

import numpy as np
import pytest
from PIL import Image

from localbook import data
from localbook.errors import DataError


@pytest.fixture
def lay(tmp_path):
    """Fill a folder: a path that ends in / gets ten images, another becomes a file."""
    home = tmp_path / "pictures"

    def fill(*paths):
        for path in paths:
            place = home / path
            (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
            if not path.endswith("/"):
                place.write_bytes(b"no image")
            else:
                for i in range(10):
                    Image.new("L", (3, 2), i + 10 * ("test" in path.lower())).save(
                        place / f"{i}.png"
                    )
        return home

    return fill


def classes(*splits):
    return [f"{split}/{name}/" for split in splits for name in "ab"]


@pytest.mark.parametrize(
    ("paths", "sizes", "said"),
    [
        (classes("Training", "Testing"), [18, 2, 20], ""),
        (classes("training_set", "test_set"), [18, 2, 20], ""),
        (classes("train2017", "val2017"), [18, 2, 20], "val2017/ is the test split"),
        (classes("seg_train/seg_train", "seg_test/seg_test"), [18, 2, 20], ""),
        (classes("pictures/pictures/train", "pictures/pictures/test"), [18, 2, 20], "are those in"),
        (classes("train", "val", "test"), [20, 20, 20], ""),
        (classes("train", "valid", "test"), [20, 20, 20], ""),
        ([*classes("train", "val"), "test/"], [18, 2, 20], "no class folders (test/)"),
        ([*classes("train", "val"), "test/test/"], [18, 2, 20], "no class folders (test/)"),
        (["a/", "b/"], [14, 2, 4], "has no train/ folder: a fifth"),
        (["pictures/a/", "pictures/b/", "read.me"], [14, 2, 4], "1 of no image format (read.me)"),
        (["a/", "b/", "train/"], [21, 3, 6], "has no train/ folder"),  # a class called train
        (["a/images/left/", "a/images/right/", "b/"], [21, 3, 6], "has no train/"),
        ([*classes("train", "test"), "train/"], [18, 2, 20], "10 outside of the class folders (0."),
        ([*classes("train", "test"), "raw/"], [18, 2, 20], "1 beside the splits (raw/)"),
        (
            [*classes("train", "test"), "train/.DS_Store", "test/Thumbs.db", "test/a/x.heic"],
            [18, 2, 20],
            "left out 1 hidden (.DS_Store); 2 of no image format (Thumbs.db, x.heic).",
        ),
        (
            [*classes("train", "test"), "train/.ipynb_checkpoints/", "train/__MACOSX/a/"],
            [18, 2, 20],
            "left out 2 hidden (.ipynb_checkpoints, __MACOSX).",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)  # fmt: skip
def test_layouts(lay, paths, sizes, said, heard):
    sets, words = heard(lay(*paths))
    assert [len(s) for s in sets] == sizes
    assert said in words
    assert bool(said) == bool(words)
    if "Testing/a/" in paths:
        assert sets[2].images[:, 0, 0, 0].tolist() == [*range(10, 20)] * 2
        assert sets[2].labels.tolist() == [0] * 10 + [1] * 10


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        ([*classes("train", "test"), "train/c/"], r"only .*/train has c; give them the same"),
        ([*classes("train", "test"), "test/c/"], r"only .*/test has c; give"),
        (["train/a/", "train/b/", "test/a/", "test/B/"], r"train has b and only .*test has B;"),
        (classes("train"), r"has train/ but neither test/ nor val/"),
        ([*classes("train"), "test/"], r"neither test/ nor val/ with class folders"),
        (classes("test", "val"), r"has test/, val/ but no train/; add it"),
        (classes("train", "Training", "test"), r"are both train; keep one"),
        (["train/", "test/"], r"train has no class folders; lay .*/train/<class>/<image>"),
        ([""], r"has no class folders; lay"),
        (["notes.txt"], r"has no class folders; lay"),
        (["a/train/", "a/test/", "b/train/", "b/test/"], r"/a has splits inside a class; lay"),
        (["a/", "b/x.heic"], r"class folder .*/b has no image \(not x\.heic\); add"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_layouts_that_are_refused(lay, paths, sentence):
    home = lay(*(path or "./" for path in paths))
    for split in data.SPLITS:
        with pytest.raises(DataError, match=sentence):
            data.load(home, split)


@pytest.mark.parametrize(
    ("link", "to", "sentence"),
    [
        ("train/a/x.png", "nowhere.png", r"a/x\.png is a link that leads nowhere"),
        ("train/c", "nowhere", r"train/c is a link that leads nowhere"),
        ("train/a/x.png", "x.png", r"a/x\.png is a link that leads nowhere"),
        ("train/a/x", ".", r"a/x is a link to a folder that holds it"),
        ("train/a/x", "../..", r"a/x is a link to a folder that holds it"),
    ],
)
def test_links_that_cannot_be_followed(lay, link, to, sentence):
    home = lay(*classes("train", "test"))
    (home / link).symlink_to(to)
    with pytest.raises(DataError, match=sentence):
        data.load(home)


def test_links_to_images_and_classes_are_followed(lay, heard):
    home = lay(*classes("train", "test"))
    for side in ("train", "test"):
        (home / side / "c").symlink_to("a")
        (home / side / "b" / "0.jpg").symlink_to("0.png")
    sets, words = heard(home)
    assert np.bincount(sets[2].labels).tolist() == [10, 11, 10]
    assert words == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of Unix")
def test_a_pipe_is_left_out_and_not_waited_for(lay, heard):
    home = lay(*classes("train", "test"))
    os.mkfifo(home / "train" / "a" / "x.png")
    assert "1 of no image format (x.png)" in heard(home)[1]


@pytest.mark.parametrize(
    "suffix",
    [".PNG", ".JPEG", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".gif", ".pgm", ".jp2", ".tga"],
)
def test_suffixes(lay, suffix, heard):
    home = lay("a/")
    for i in range(5):
        Image.new("L", (3, 2), 40 * i).save(home / "a" / f"x{i}{suffix}")
    sets, words = heard(home)
    assert sum(len(s) for s in sets) == 15
    assert "left out" not in words
