"""Sgr."""

from localbook.local.rules.sgr.compiled import Compiler
from localbook.local.rules.sgr.rule import DISTANCES, SGR, check
from localbook.local.rules.sgr.step import load_forward_mode, positions

__all__ = ["DISTANCES", "SGR", "Compiler", "check", "load_forward_mode", "positions"]
