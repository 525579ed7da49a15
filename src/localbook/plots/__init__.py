"""The book's pictures: one house style, readable in light and dark, each with alt text.

Functions here draw what they are given and compute nothing; each returns a matplotlib figure that
:func:`show` puts into a notebook.
"""

from localbook.plots.ablation import against_weight, contours, errors_by_step, seeds_by_variant
from localbook.plots.duals import hypersurface_and_dual, hypersurfaces
from localbook.plots.explore import explore
from localbook.plots.figure import new_figure, show, svg
from localbook.plots.images import image_grid
from localbook.plots.isolation import isolation_diagram
from localbook.plots.polynomials import (
    DualPanel,
    curves,
    curves_and_duals,
    graph_and_lift,
    subdivisions,
)
from localbook.plots.regions import RegionPanel, class_map, region_counts, region_panels
from localbook.plots.slider import slider
from localbook.plots.style import METHOD, PALETTE
from localbook.plots.tickets import (
    distance_against_accuracy,
    dual_and_boundary,
    margins,
    over_pruning,
)
from localbook.plots.training import accuracy_by_module, over_epochs, seeds_by_method
from localbook.plots.turn import Body, turn

__all__ = [
    "METHOD",
    "PALETTE",
    "Body",
    "DualPanel",
    "RegionPanel",
    "accuracy_by_module",
    "against_weight",
    "class_map",
    "contours",
    "curves",
    "curves_and_duals",
    "distance_against_accuracy",
    "dual_and_boundary",
    "errors_by_step",
    "explore",
    "graph_and_lift",
    "hypersurface_and_dual",
    "hypersurfaces",
    "image_grid",
    "isolation_diagram",
    "margins",
    "new_figure",
    "over_epochs",
    "over_pruning",
    "region_counts",
    "region_panels",
    "seeds_by_method",
    "seeds_by_variant",
    "show",
    "slider",
    "subdivisions",
    "svg",
    "turn",
]
