from .batches import Augment, DeviceImages
from .door import SPLITS, check, fetch, known, load
from .imageset import ImageSet, holdout, limited, only_classes
from .sequences import Adding, Copying, SequenceTask

__all__ = [
    "SPLITS",
    "Adding",
    "Augment",
    "Copying",
    "DeviceImages",
    "ImageSet",
    "SequenceTask",
    "check",
    "fetch",
    "holdout",
    "known",
    "limited",
    "load",
    "only_classes",
]
