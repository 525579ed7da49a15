from . import convex_training, xor_grokking

__all__ = ["convex_training", "xor_grokking"]
