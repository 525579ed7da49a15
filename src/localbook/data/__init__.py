"""The data door: every image in localbook comes through :func:`load`.

>>> from localbook import data
>>> train = data.load("digits", "train", limit=100)
>>> train.images.shape, train.images.dtype
((100, 1, 8, 8), dtype('uint8'))
"""

from localbook.data.door import SPLITS, check, fetch, known, load
from localbook.data.imageset import ImageSet

__all__ = ["SPLITS", "ImageSet", "check", "fetch", "known", "load"]
