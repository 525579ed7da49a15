from . import xor_grokking

__all__ = ["xor_grokking"]
