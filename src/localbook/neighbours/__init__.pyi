from . import convex_training, li2, quadratic, xor_grokking

__all__ = ["convex_training", "li2", "quadratic", "xor_grokking"]
