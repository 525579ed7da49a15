"""The published image sets: where they come from, and how their files are read.

Every file is downloaded by torchvision and accepted only with the MD5 sum listed here, which is
torchvision's own (a test compares them); ``data/checksums.md5`` repeats them for ``md5sum -c``.
"""

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from localbook.data.folder import Samples, decode, from_folders
from localbook.errors import DataError

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]


@dataclass(frozen=True)
class Archive:
    """One file of a published set."""

    url: str
    md5: str

    @property
    def filename(self) -> str:
        """The file's name on disk."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Official:
    """A published image set: its archives, what they unpack to, and how that is read."""

    title: str
    archives: tuple[Archive, ...]
    folder: str
    read: Callable[[Path, str], Arrays]
    """``read(folder, split)`` with split ``train`` or ``test`` returns images, labels, names."""


def fetch_official(name: str, root: Path) -> None:
    """Download, verify and unpack a published set below ``root``; what is there already is kept.

    Raises
    ------
    DataError
        Without network, or when a downloaded file does not have its published checksum.
    """
    from torchvision.datasets.utils import download_url

    spec = OFFICIAL[name]
    folder = root / spec.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for archive in spec.archives:
        try:
            download_url(archive.url, root, archive.filename, archive.md5)
        except (URLError, ConnectionError, TimeoutError) as error:
            raise DataError(
                f"could not reach {archive.url} ({error}); check the network, or put the file "
                f"into {root} yourself and run `localbook data fetch {name}` again."
            ) from error
        except RuntimeError as error:
            raise DataError(
                f"{root / archive.filename} does not have its published checksum "
                f"(MD5 {archive.md5}); delete the file and fetch {name} again."
            ) from error
        try:
            _unpack(root / archive.filename, root, folder)
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{root / archive.filename} could not be unpacked ({error}); delete it, make sure "
                f"that the disk has room, and fetch {name} again."
            ) from error


def check_official(name: str, root: Path) -> list[str]:
    """Compare each archive below ``root`` with its checksum; one line for each that is whole.

    Raises
    ------
    DataError
        Naming the first archive that is missing or damaged.
    """
    from torchvision.datasets.utils import check_integrity

    for archive in OFFICIAL[name].archives:
        file = root / archive.filename
        if not file.is_file():
            raise DataError(f"{file} is not there; run `localbook data fetch {name}`.")
        if not check_integrity(file, archive.md5):
            raise DataError(
                f"{file} does not have its published checksum (MD5 {archive.md5}); "
                f"delete it and run `localbook data fetch {name}`."
            )
    return [
        f"{archive.filename}: MD5 {archive.md5} as published" for archive in OFFICIAL[name].archives
    ]


def _unpack(archive: Path, root: Path, folder: Path) -> None:
    """Unpack below root, refusing members that would land outside it."""
    if archive.suffixes == [".gz"]:
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(archive) as packed, (folder / archive.stem).open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    elif archive.suffix == ".zip":
        shutil.unpack_archive(archive, root)  # zipfile drops ".." and absolute names itself
    elif hasattr(tarfile, "data_filter"):
        shutil.unpack_archive(archive, root, filter="data")
    else:
        raise DataError(
            f"this Python cannot unpack {archive.name} safely; use Python 3.11.4 or newer."
        )


def read_official(name: str, split: str, root: Path) -> Arrays:
    """Read one official split (``train`` or ``test``) from unpacked files.

    Raises
    ------
    DataError
        When the files are missing or damaged.
    """
    spec = OFFICIAL[name]
    folder = root / spec.folder
    if not folder.is_dir():
        raise DataError(
            f"{name} is not in {root}; run `localbook data fetch {name}` to download it "
            "(or set LOCALBOOK_DATA to the folder that has it)."
        )
    try:
        return spec.read(folder, split)
    except DataError:
        raise
    except (OSError, RuntimeError, ValueError, AssertionError, EOFError) as error:
        raise DataError(
            f"the {split} files of {name} in {folder} are missing or damaged ({error}); "
            f"delete the folder and run `localbook data fetch {name}`."
        ) from error


def _read_mnist(folder: Path, split: str) -> Arrays:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    stem = "train" if split == "train" else "t10k"
    images = read_image_file(folder / f"{stem}-images-idx3-ubyte").numpy()
    labels = read_label_file(folder / f"{stem}-labels-idx1-ubyte").numpy()
    return images[:, None], labels.astype(np.int64), tuple("0123456789")


def _read_cifar(folder: Path, split: str) -> Arrays:
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if folder.name == CIFAR10.base_folder else CIFAR100
    raw = kind(folder.parent, train=split == "train")  # checks each file's MD5 before unpickling
    images = np.ascontiguousarray(raw.data.transpose(0, 3, 1, 2))
    return images, np.asarray(raw.targets, np.int64), tuple(raw.classes)


def _read_imagenette(folder: Path, split: str) -> Arrays:
    from torchvision.datasets import Imagenette

    side = "train" if split == "train" else "val"
    names = Imagenette(folder.parent, side, "160px").classes  # in the order of the sorted wnids
    images, labels = decode(from_folders(folder / side), centre_crop=160)
    return images, labels, tuple(name[0] for name in names)


def _read_tiny_imagenet(folder: Path, split: str) -> Arrays:
    wnids = tuple(sorted(p.name for p in (folder / "train").iterdir() if p.is_dir()))
    if split == "train":
        files = [
            (f, i) for i, w in enumerate(wnids) for f in (folder / "train" / w).rglob("*.JPEG")
        ]
    else:  # the official val split has the labels of the official test split withheld
        lines = (folder / "val" / "val_annotations.txt").read_text().splitlines()
        rows = [line.split("\t")[:2] for line in lines]
        files = [(folder / "val" / "images" / name, wnids.index(wnid)) for name, wnid in rows]
    files.sort()
    samples = Samples([f for f, _ in files], np.array([i for _, i in files], np.int64), wnids)
    images, labels = decode(samples)
    return images, labels, wnids


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"

OFFICIAL = {
    "mnist": Official(
        "MNIST (28x28 grey)",
        (
            Archive(_MNIST + "train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            Archive(_MNIST + "train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            Archive(_MNIST + "t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            Archive(_MNIST + "t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        "MNIST/raw",
        _read_mnist,
    ),
    "cifar10": Official(
        "CIFAR-10 (32x32 colour)",
        (Archive(_TORONTO + "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
        "cifar-10-batches-py",
        _read_cifar,
    ),
    "cifar100": Official(
        "CIFAR-100 (32x32 colour)",
        (Archive(_TORONTO + "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),),
        "cifar-100-python",
        _read_cifar,
    ),
    "imagenette": Official(
        "Imagenette 160 px (v2, centre crop 160x160 colour)",
        (
            Archive(
                "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
                "e793b78cc4c9e9a4ccc0c1155377a412",
            ),
        ),
        "imagenette2-160",
        _read_imagenette,
    ),
    "tiny-imagenet": Official(
        "Tiny ImageNet (64x64 colour, its val split as test)",
        (
            Archive(
                "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
                "90528d7ca1a48142e341f4ef8d21d0de",
            ),
        ),
        "tiny-imagenet-200",
        _read_tiny_imagenet,
    ),
}
