from . import convex_training, li2, quadratic, representational_geometry, xor_grokking

__all__ = ["convex_training", "li2", "quadratic", "representational_geometry", "xor_grokking"]
