from . import convex_training

__all__ = ["convex_training"]
