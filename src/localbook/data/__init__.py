"""The data door: every image in localbook comes through :func:`load`.

>>> from localbook import data
>>> train = data.load("digits", "train", limit=100)
>>> train.images.shape, train.images.dtype
((100, 1, 8, 8), dtype('uint8'))
"""

from typing import TYPE_CHECKING, Any

from localbook.data.door import SPLITS, check, fetch, known, load
from localbook.data.imageset import ImageSet, holdout, limited, only_classes

if TYPE_CHECKING:
    from localbook.data.batches import Augment, DeviceImages

__all__ = [
    "SPLITS",
    "Augment",
    "DeviceImages",
    "ImageSet",
    "check",
    "fetch",
    "holdout",
    "known",
    "limited",
    "load",
    "only_classes",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name in ("Augment", "DeviceImages"):
        from localbook.data import batches

        return getattr(batches, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
