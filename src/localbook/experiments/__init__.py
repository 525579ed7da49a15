"""The book's experiments: what each profile means, and how an experiment becomes run records.

What an experiment *is* lies below, in :mod:`localbook.experiments.harness`.
"""

import lazy_loader

# Lazy, because the catalogue knows neighbours, and these know the harness in this very package.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
