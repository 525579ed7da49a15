from . import convex_training, quadratic, xor_grokking

__all__ = ["convex_training", "quadratic", "xor_grokking"]
