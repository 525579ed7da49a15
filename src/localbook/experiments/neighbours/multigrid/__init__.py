"""MgNO: operators learned from examples of equations, by multigrid cycles and by others."""

from localbook.experiments.neighbours.multigrid.comparison import MULTIGRID, MULTIGRID_DARCY
from localbook.experiments.neighbours.multigrid.comparison import Darcy as Darcy
from localbook.experiments.neighbours.multigrid.comparison import draw_darcy as draw_darcy
from localbook.experiments.neighbours.multigrid.comparison import error as error
from localbook.experiments.neighbours.multigrid.comparison import trained as trained

EXPERIMENTS = {"multigrid": MULTIGRID, "multigrid-darcy": MULTIGRID_DARCY}
