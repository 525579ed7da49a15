from . import convex_training, finalmlp, li2, xor_grokking

__all__ = ["convex_training", "finalmlp", "li2", "xor_grokking"]
