"""The data door: every image in localbook comes through :func:`load`.

>>> from localbook import data
>>> train = data.load("digits", "train", limit=100)
>>> train.images.shape, train.images.dtype
((100, 1, 8, 8), dtype('uint8'))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
