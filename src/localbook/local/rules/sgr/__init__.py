"""Sgr."""

from localbook.local.rules.sgr.compiled import Compiler
from localbook.local.rules.sgr.rule import SGR, check
from localbook.local.rules.sgr.step import load_forward_mode

__all__ = ["SGR", "Compiler", "check", "load_forward_mode"]
