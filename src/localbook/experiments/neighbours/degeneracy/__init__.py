"""Degeneracy: ranks, modules, and what modules' own heads value."""

from localbook.experiments.neighbours.degeneracy import digits, modules, ranks
from localbook.experiments.neighbours.degeneracy.modules import halves as halves
from localbook.experiments.neighbours.degeneracy.modules import side_by_side as side_by_side
from localbook.experiments.neighbours.degeneracy.modules import views as views
from localbook.experiments.neighbours.degeneracy.ranks import PLANTED as PLANTED
from localbook.experiments.neighbours.degeneracy.ranks import planted as planted

EXPERIMENTS = {
    "degeneracy": ranks.RANKS,
    "degeneracy-digits": digits.DIGITS,
    "degeneracy-modules": modules.MODULES,
}
