from . import convex_training, representational_geometry, xor_grokking

__all__ = ["convex_training", "representational_geometry", "xor_grokking"]
