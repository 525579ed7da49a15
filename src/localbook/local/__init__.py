"""Local learning: gradient-isolated modules, the rules that train them, and what to measure."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
