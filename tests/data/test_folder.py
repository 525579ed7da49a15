import time
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


def test_flat_folder_has_its_own_test_split(tmp_path):
    for name in ("a", "b"):
        for i in range(20):
            save(tmp_path / "flat" / name / f"{i}.png", i)
    sizes = [len(data.load(tmp_path / "flat", split)) for split in data.SPLITS]
    assert sizes == [28, 4, 8]


def test_source_note_names_the_variant(folder):
    (folder / "source.txt").write_text("Pets, JPEG quality 75\nmore\n")
    assert data.load(folder).source.startswith("Pets, JPEG quality 75 (4x6")


def test_grey_images_have_one_channel(tmp_path):
    for i in range(12):
        save(tmp_path / "grey" / "a" / f"{i}.png", i, mode="L")
    assert data.load(tmp_path / "grey").images.shape[1] == 1


def test_second_load_is_memory_mapped_and_decodes_nothing(folder, monkeypatch):
    first = data.load(folder)

    def refuse(*args, **kwargs):
        raise AssertionError("decoded again")

    monkeypatch.setattr("localbook.data.door.decode", refuse)
    second = data.load(folder)
    assert isinstance(second.images, np.memmap)
    assert np.array_equal(first.images, second.images)


def test_a_changed_folder_is_decoded_anew(folder):
    before = data.load(folder)
    time.sleep(0.01)
    save(folder / "train" / "cat" / "new.png", 99)
    after = data.load(folder)
    assert len(after) == len(before) + 1
    assert after.source != before.source


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


def test_empty_class_folder_is_named(folder):
    (folder / "train" / "emu").mkdir()
    with pytest.raises(DataError, match="emu has no image"):
        data.load(folder)


def test_no_class_folders(tmp_path):
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        data.load(tmp_path / "void")


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        data.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="does not exist"):
        data.load("some/where")


def test_missing_test_side(folder):
    for file in (folder / "test").rglob("*.png"):
        file.unlink()
    (folder / "test" / "cat").rmdir()
    (folder / "test" / "dog").rmdir()
    (folder / "test").rmdir()
    with pytest.raises(DataError, match=r"neither test/ nor val/"):
        data.load(folder, "test")


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
