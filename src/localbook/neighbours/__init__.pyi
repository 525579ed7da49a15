from . import convex_training, finalmlp, xor_grokking

__all__ = ["convex_training", "finalmlp", "xor_grokking"]
