"""Pictures that explain one idea each, by the chapter that they were made for."""

from localbook.plots.chapters.attacks import AttackFrame, attack_panels
from localbook.plots.chapters.circuits import CircuitPanel, circuits
from localbook.plots.chapters.compared import accuracy_against_price
from localbook.plots.chapters.convergence import paths_and_losses
from localbook.plots.chapters.dependence import dependence
from localbook.plots.chapters.depths import DepthPanel, boundaries_by_module
from localbook.plots.chapters.duals import hypersurface_and_dual, hypersurfaces
from localbook.plots.chapters.isolation import border_diagram, isolation_diagram
from localbook.plots.chapters.polynomials import (
    DualPanel,
    curves_and_duals,
    graph_and_lift,
    subdivisions,
)
from localbook.plots.chapters.pruning import before_and_after, margins
from localbook.plots.chapters.regions import RegionPanel, boundary, class_map, region_panels
from localbook.plots.chapters.sgr import contours
from localbook.plots.chapters.similarity import similarity_maps
from localbook.plots.chapters.timelines import step_timeline, update_timeline
from localbook.plots.chapters.zonotopes import (
    hull_of_polygons,
    support_direction,
    zonotope_growth,
)

__all__ = [
    "AttackFrame",
    "CircuitPanel",
    "DepthPanel",
    "DualPanel",
    "RegionPanel",
    "accuracy_against_price",
    "attack_panels",
    "before_and_after",
    "border_diagram",
    "boundaries_by_module",
    "boundary",
    "circuits",
    "class_map",
    "contours",
    "curves_and_duals",
    "dependence",
    "graph_and_lift",
    "hull_of_polygons",
    "hypersurface_and_dual",
    "hypersurfaces",
    "isolation_diagram",
    "margins",
    "paths_and_losses",
    "region_panels",
    "similarity_maps",
    "step_timeline",
    "subdivisions",
    "support_direction",
    "update_timeline",
    "zonotope_growth",
]
