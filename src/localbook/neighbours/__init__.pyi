from . import convex_training, dynamical_stability, xor_grokking

__all__ = ["convex_training", "dynamical_stability", "xor_grokking"]
