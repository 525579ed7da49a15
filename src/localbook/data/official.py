"""The published image sets: where they come from, and how their files are read.

Addresses and MD5 sums are torchvision's own, read where they are needed, since torchvision is slow
to import; ``data/checksums.md5`` repeats the sums for ``md5sum -c``.
"""

import gzip
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from localbook.data.folder import decode
from localbook.data.layout import survey
from localbook.errors import DataError

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]
_TINY_IMAGENET = (
    "https://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
)


class Official(NamedTuple):
    """A published image set: what its archives unpack to, and how that is read."""

    title: str
    folder: str
    read: Callable[[Path, str], Arrays]
    """``read(folder, split)`` with split ``train`` or ``test`` returns images, labels, names."""


class Archive(NamedTuple):
    """One file of a published set, and the addresses that have it."""

    urls: tuple[str, ...]
    md5: str

    @property
    def filename(self) -> str:
        """The file's name on disk."""
        return self.urls[0].rsplit("/", 1)[1]


def archives(name: str) -> list[Archive]:
    """Return the files of a published set."""
    from torchvision.datasets import CIFAR10, CIFAR100, MNIST, Imagenette

    if name == "mnist":
        return [
            Archive(tuple(mirror + file for mirror in MNIST.mirrors), md5)
            for file, md5 in MNIST.resources
        ]
    url, md5 = {
        "cifar10": (CIFAR10.url, CIFAR10.tgz_md5),
        "cifar100": (CIFAR100.url, CIFAR100.tgz_md5),
        "imagenette": Imagenette._ARCHIVES["160px"],
        "tiny-imagenet": _TINY_IMAGENET,  # torchvision does not have this set
    }[name]
    return [Archive((url,), md5)]


def fetch_official(name: str, root: Path) -> None:
    """Download, verify and unpack a published set below ``root``; what is there already is kept."""
    folder = root / OFFICIAL[name].folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for archive in archives(name):
        file = root / archive.filename
        _download(archive, root, name)
        try:
            _unpack(file, root, folder)
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{file} could not be unpacked ({error}); delete it, make sure "
                f"that the disk has room, and fetch {name} again."
            ) from error


def _download(archive: Archive, root: Path, name: str) -> None:
    from torchvision.datasets.utils import download_url

    for url in archive.urls:
        try:
            download_url(url, root, archive.filename, archive.md5)
        except (URLError, ConnectionError, TimeoutError) as error:
            failure = error
        except RuntimeError as error:
            raise DataError(
                f"{root / archive.filename} does not have its published checksum "
                f"(MD5 {archive.md5}); delete the file and fetch {name} again."
            ) from error
        else:
            return
    raise DataError(
        f"could not reach {archive.urls[-1]} ({failure}); check the network, or put the file "
        f"into {root} yourself and run `localbook data fetch {name}` again."
    ) from failure


def check_official(name: str, root: Path) -> list[str]:
    """Compare each archive below ``root`` with its checksum; one line for each that is whole."""
    from torchvision.datasets.utils import check_integrity

    lines = []
    for archive in archives(name):
        file = root / archive.filename
        if not file.is_file():
            raise DataError(f"{file} is not there; run `localbook data fetch {name}`.")
        if not check_integrity(file, archive.md5):
            raise DataError(
                f"{file} does not have its published checksum (MD5 {archive.md5}); "
                f"delete it and run `localbook data fetch {name}`."
            )
        lines.append(f"{archive.filename}: MD5 {archive.md5} as published")
    return lines


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
    """Read one official split (``train`` or ``test``) from unpacked files."""
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

    names = Imagenette(folder.parent, "val", "160px").classes  # in the order of the sorted wnids
    side = survey(folder).sides[split]
    return decode(side.files, centre_crop=160).images, side.labels, tuple(name[0] for name in names)


def _read_tiny_imagenet(folder: Path, split: str) -> Arrays:
    found = survey(folder)  # the official test split has its labels withheld: its val is our test
    side = found.sides[split]
    return decode(side.files).images, side.labels, found.class_names


OFFICIAL = {
    "mnist": Official("MNIST (28x28 grey)", "MNIST/raw", _read_mnist),
    "cifar10": Official("CIFAR-10 (32x32 colour)", "cifar-10-batches-py", _read_cifar),
    "cifar100": Official("CIFAR-100 (32x32 colour)", "cifar-100-python", _read_cifar),
    "imagenette": Official(
        "Imagenette 160 px (v2, centre crop 160x160 colour)", "imagenette2-160", _read_imagenette
    ),
    "tiny-imagenet": Official(
        "Tiny ImageNet (64x64 colour, its val split as test)",
        "tiny-imagenet-200",
        _read_tiny_imagenet,
    ),
}
