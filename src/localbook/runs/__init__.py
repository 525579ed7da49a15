"""Run records: small JSON files that say what was run, on what, and what came out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
