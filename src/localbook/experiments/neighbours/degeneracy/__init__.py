"""Degeneracy: ranks, modules, and what modules' own heads value."""

from localbook.experiments.neighbours.degeneracy.digits import DIGITS
from localbook.experiments.neighbours.degeneracy.modules import MODULES, halves, side_by_side, views
from localbook.experiments.neighbours.degeneracy.ranks import PLANTED, RANKS, planted

__all__ = ["DIGITS", "MODULES", "PLANTED", "RANKS", "halves", "planted", "side_by_side", "views"]
