"""The published sets, against small files with the same layout, served by a local server."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from localbook import data
from localbook.errors import DataError


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def publish(monkeypatch, name, served, files):
    """Put files on the server, and make it the place that torchvision names for a set."""
    folder, address = served
    sums = {}
    for filename, content in files.items():
        (folder / filename).write_bytes(content)
        sums[filename] = hashlib.md5(content).hexdigest()
    sets = torchvision.datasets
    if name == "mnist":
        monkeypatch.setattr(sets.MNIST, "mirrors", ["http://127.0.0.1:9/", address])
        monkeypatch.setattr(sets.MNIST, "resources", list(sums.items()))
        return
    ((filename, md5),) = sums.items()
    if name == "imagenette":
        monkeypatch.setattr(sets.Imagenette, "_ARCHIVES", {"160px": (address + filename, md5)})
    else:
        kind = getattr(sets, name.upper())
        monkeypatch.setattr(kind, "url", address + filename)
        monkeypatch.setattr(kind, "tgz_md5", md5)


def idx(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def mnist_files(n=30):
    rng = np.random.default_rng(0)
    files = {}
    for stem, count in (("train", n), ("t10k", 10)):
        files[f"{stem}-images-idx3-ubyte.gz"] = idx(rng.integers(0, 256, (count, 28, 28)))
        files[f"{stem}-labels-idx1-ubyte.gz"] = idx(np.arange(count) % 10)
    return files


def tar_gz(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def jpeg(value, size):
    buffer = io.BytesIO()
    Image.new("RGB", size, (value, value, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_mnist_end_to_end(monkeypatch, served, data_root):
    publish(monkeypatch, "mnist", served, mnist_files())
    folder = data.fetch("mnist")
    assert folder == data_root / "MNIST" / "raw"
    train, val, test = (data.load("mnist", split) for split in data.SPLITS)
    assert [len(train), len(val), len(test)] == [20, 10, 10]
    assert train.images.shape[1:] == (1, 28, 28)
    assert test.labels.tolist() == list(range(10))
    assert test.source == "MNIST (28x28 grey), test"
    assert len(data.check("mnist")) == 4


def test_cifar10_end_to_end(monkeypatch, served):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (6, 20, 3072)).astype(np.uint8)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    members = {
        name: pickle.dumps({"data": p, "labels": [i % 10 for i in range(20)]})
        for name, p in zip(names, pixels, strict=True)
    }
    members["batches.meta"] = pickle.dumps({"label_names": [f"class {i}" for i in range(10)]})
    archive = tar_gz({f"cifar-10-batches-py/{k}": v for k, v in members.items()})
    publish(monkeypatch, "cifar10", served, {"cifar-10-python.tar.gz": archive})
    cifar = torchvision.datasets.CIFAR10
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in members.items()}
    monkeypatch.setattr(cifar, "train_list", [[n, md5[n]] for n in names[:5]])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": md5["batches.meta"]})
    data.fetch("cifar10")
    train, val, test = (data.load("cifar10", split) for split in data.SPLITS)
    assert [len(train), len(val), len(test)] == [90, 10, 20]
    assert np.array_equal(test.images.reshape(20, -1), pixels[5])
    assert test.class_names[3] == "class 3"


def test_tiny_imagenet_as_it_is_published(data_root, heard):
    home = data_root / "tiny-imagenet-200"
    files, rows = {}, []
    for number, wnid in enumerate(("n01", "n02")):
        for i in range(10):
            files[f"train/{wnid}/images/{wnid}_{i}.JPEG"] = jpeg(100 * number + i, (64, 64))
        files[f"train/{wnid}/{wnid}_boxes.txt"] = b"not an image"
        files[f"val/images/val_{number}.JPEG"] = jpeg(7, (64, 64))
        files[f"test/images/test_{number}.JPEG"] = jpeg(7, (64, 64))
        rows.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t1\t1")
    files["val/val_annotations.txt"] = "\n".join(rows[::-1]).encode()
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(content)
    for given in ("tiny-imagenet", home):  # as the published set, and as anybody's folder
        sets, words = heard(given)
        assert [len(s) for s in sets] == [18, 2, 2]
        assert sets[2].labels.tolist() == [0, 1]
        assert sets[2].class_names == ("n01", "n02")
    assert "val/ is the test split" in words
    assert "1 whose images have no class folders (test/)" in words
    assert "2 of no image format (n01_boxes.txt, n02_boxes.txt)" in words


def test_imagenette_is_cropped_to_one_size(monkeypatch, served):
    members = {
        f"imagenette2-160/{side}/{wnid}/{i}.JPEG": jpeg(i, (160 + 10 * i, 160))
        for side in ("train", "val")
        for wnid in ("n01440764", "n03888257")
        for i in range(10)
    }
    publish(monkeypatch, "imagenette", served, {"imagenette2-160.tgz": tar_gz(members)})
    data.fetch("imagenette")
    train = data.load("imagenette")
    assert train.images.shape == (18, 3, 160, 160)
    assert train.class_names == ("tench", "parachute")


def test_wrong_checksum_is_refused(monkeypatch, served):
    publish(monkeypatch, "mnist", served, mnist_files())
    (served[0] / "t10k-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz does not have its published"):
        data.fetch("mnist")


def test_no_network(monkeypatch, served):
    publish(monkeypatch, "mnist", served, mnist_files())
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match=r"could not reach .* check the network"):
        data.fetch("mnist")


def test_load_never_downloads(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("load reached for the network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DataError, match="run `localbook data fetch cifar10`"):
        data.load("cifar10")


def test_damaged_file_is_reported(monkeypatch, served):
    publish(monkeypatch, "mnist", served, mnist_files())
    raw = data.fetch("mnist") / "t10k-images-idx3-ubyte"
    raw.write_bytes(raw.read_bytes()[:500])
    with pytest.raises(DataError, match=r"test files of mnist .* missing or damaged"):
        data.load("mnist", "test")


def test_check_finds_missing_and_changed_archives(monkeypatch, served, data_root):
    publish(monkeypatch, "mnist", served, mnist_files())
    with pytest.raises(DataError, match="is not there"):
        data.check("mnist")
    data.fetch("mnist")
    (data_root / "train-labels-idx1-ubyte.gz").write_bytes(b"changed")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz does not have"):
        data.check("mnist")


@pytest.mark.parametrize("escape", ["../outside.txt", "/tmp/outside-of-localbook.txt"])
def test_archives_cannot_write_outside(monkeypatch, served, data_root, escape):
    archive = tar_gz({escape: b"x"})
    publish(monkeypatch, "cifar100", served, {"cifar-100-python.tar.gz": archive})
    if escape.startswith("/"):  # the leading slash is dropped: it lands inside
        data.fetch("cifar100")
        assert not Path(escape).exists()
    else:
        with pytest.raises(DataError, match="outside"):
            data.fetch("cifar100")
    assert not (data_root.parent / "outside.txt").exists()


def test_a_python_without_safe_extraction_is_refused(monkeypatch, served):
    publish(monkeypatch, "cifar100", served, {"cifar-100-python.tar.gz": tar_gz({"a": b"x"})})
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(DataError, match=r"cannot unpack .* safely"):
        data.fetch("cifar100")


def test_only_published_sets_can_be_fetched():
    with pytest.raises(DataError, match="'digits' cannot be fetched"):
        data.fetch("digits")


def test_the_checksum_file_repeats_torchvisions():
    sets = torchvision.datasets
    sums = dict(sets.MNIST.resources)
    sums[sets.CIFAR10.filename] = sets.CIFAR10.tgz_md5
    sums[sets.CIFAR100.filename] = sets.CIFAR100.tgz_md5
    sums["imagenette2-160.tgz"] = sets.Imagenette._ARCHIVES["160px"][1]
    sums["tiny-imagenet-200.zip"] = "90528d7ca1a48142e341f4ef8d21d0de"  # torchvision has it not
    listed = (Path(__file__).parents[2] / "data" / "checksums.md5").read_text().splitlines()
    assert listed == [f"{md5}  {name}" for name, md5 in sums.items()]
