"""The book's pictures: one house style, readable in light and dark, each with alt text.

Measurements go through three charts, :func:`lines`, :func:`seeds` and :func:`ratios`; a picture
that explains an idea has a function of its own. All draw what they are given and compute nothing;
each returns a matplotlib figure that :func:`show` puts into a notebook.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
