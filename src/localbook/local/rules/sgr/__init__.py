"""Sgr."""

from localbook.local.rules.sgr.compiled import Compiler as Compiler
from localbook.local.rules.sgr.rule import DISTANCES as DISTANCES
from localbook.local.rules.sgr.rule import SGR as SGR
from localbook.local.rules.sgr.rule import check as check
from localbook.local.rules.sgr.step import load_forward_mode as load_forward_mode
from localbook.local.rules.sgr.step import positions as positions
