"""Neural circuit diagrams as terms: what they compute, their gradients and their costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
