"""MgNO: operators learned from examples of equations, by multigrid cycles and by others."""

from localbook.experiments.neighbours.multigrid.comparison import (
    MULTIGRID,
    MULTIGRID_DARCY,
    Darcy,
    draw_darcy,
    error,
    seeded,
    trained,
)

__all__ = [
    "MULTIGRID",
    "MULTIGRID_DARCY",
    "Darcy",
    "draw_darcy",
    "error",
    "seeded",
    "trained",
]
