import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from localbook import data
from localbook.errors import ConfigError, DataError


def save(path: Path, value: int, size=(6, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode == "L" else (value, 0, 255 - value)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes with train and test sides; the pixel value tells the images apart."""
    home = tmp_path / "pictures"
    for side, n in (("train", 20), ("test", 3)):
        for number, name in enumerate(("cat", "dog")):
            for i in range(n):
                save(home / side / name / f"{i:03}.png", 100 * number + i + 50 * (side == "test"))
    return home


def test_splits(folder):
    train, val, test = (data.load(folder, split) for split in data.SPLITS)
    assert [len(train), len(val), len(test)] == [36, 4, 6]
    assert train.images.shape[1:] == (3, 4, 6)
    assert train.class_names == ("cat", "dog")
    reds = [set(s.images[:, 0, 0, 0].tolist()) for s in (train, val)]
    assert not reds[0] & reds[1]
    assert len(reds[0] | reds[1]) == 40
    assert train.source.startswith("pictures (4x6, sha256 ")


def test_source_note_names_the_variant(folder):
    (folder / "source.txt").write_text("Pets, JPEG quality 75\nmore\n")
    assert data.load(folder).source.startswith("Pets, JPEG quality 75 (4x6")
    (folder / "source.txt").write_text("")
    assert data.load(folder).source.startswith("pictures (4x6")


def test_second_load_is_memory_mapped_and_decodes_nothing(folder, capsys):
    first = data.load(folder)
    assert "decoding" in capsys.readouterr().err
    second = data.load(folder)
    assert capsys.readouterr().err == ""
    assert isinstance(second.images, np.memmap)
    assert np.array_equal(first.images, second.images)


def test_a_changed_folder_is_decoded_anew(folder):
    before = data.load(folder)
    save(folder / "train" / "cat" / "new.png", 99)
    after = data.load(folder)
    assert len(after) == len(before) + 1
    assert after.source != before.source


def test_a_file_changed_behind_its_size_and_date_is_decoded_anew(folder):
    file = folder / "test" / "cat" / "000.png"
    save(file, 50)
    before, stat = data.load(folder, "test"), file.stat()
    save(file, 51)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.stat().st_size == stat.st_size
    after = data.load(folder, "test")
    assert [before.images[0, 0, 0, 0], after.images[0, 0, 0, 0]] == [50, 51]


def test_truncated_image_is_named(folder):
    file = folder / "train" / "dog" / "007.png"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(DataError, match=r"007\.png is truncated or not an image"):
        data.load(folder)
    save(file, 7)
    assert len(data.load(folder)) == 36  # nothing half-decoded was kept


def test_differing_sizes_name_both_files(folder):
    save(folder / "train" / "dog" / "007.png", 1, size=(7, 4))
    with pytest.raises(DataError, match=r"007\.png is 7x4 pixels but .*000\.png is 6x4"):
        data.load(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        data.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        data.load("some/where")
    (tmp_path / "pictures.zip").touch()
    with pytest.raises(DataError, match=r"pictures\.zip is a file; unpack it"):
        data.load(tmp_path / "pictures.zip")


def test_unknown_name_lists_the_known():
    with pytest.raises(DataError, match=r"unknown data set 'cifar-10'; known are digits, shapes"):
        data.load("cifar-10")


def test_unknown_split():
    with pytest.raises(ConfigError, match="must be one of train, val, test"):
        data.load("digits", "validation")


def test_check_decodes_everything(folder):
    assert data.check(folder) == [
        f"{folder / 'train'}: 40 images are whole",
        f"{folder / 'test'}: 6 images are whole",
    ]
    (folder / "test" / "cat" / "000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"000\.png is truncated"):
        data.check(folder)


def test_a_cache_that_cannot_be_written_is_said_before_images_are_read(tmp_path):
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "0.png").write_bytes(b"no image")
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"cannot be kept in .*cache.*set LOCALBOOK_DATA"):
        data.load(tmp_path / "set", "train", root=tmp_path / "cache")
