from .batches import Augment, DeviceImages
from .door import SPLITS, check, fetch, known, load
from .imageset import ImageSet, limited, only_classes

__all__ = [
    "SPLITS",
    "Augment",
    "DeviceImages",
    "ImageSet",
    "check",
    "fetch",
    "known",
    "limited",
    "load",
    "only_classes",
]
