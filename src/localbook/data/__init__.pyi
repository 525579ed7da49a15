from .batches import Augment, DeviceImages
from .door import SPLITS, check, fetch, known, load
from .imageset import ImageSet, holdout, limited, only_classes

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
