from . import convex_training, dynamical_stability, li2, quadratic, xor_grokking

__all__ = ["convex_training", "dynamical_stability", "li2", "quadratic", "xor_grokking"]
