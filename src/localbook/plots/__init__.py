"""The book's pictures: one house style, readable in light and dark, each with alt text.

Functions here draw what they are given and compute nothing; each returns a matplotlib figure that
:func:`show` puts into a notebook.
"""

from localbook.plots.chapters.attacks import (
    AttackFrame,
    attack_panels,
    seeds_by_name,
    success_by_bound,
)
from localbook.plots.chapters.compared import RULES, accuracy_against_price, share_by_modules
from localbook.plots.chapters.convergence import final_losses, losses_and_bounds, paths_and_losses
from localbook.plots.chapters.costs import (
    bytes_by_depth,
    bytes_over_step,
    cost_ratios,
    step_timeline,
)
from localbook.plots.chapters.dependence import dependence
from localbook.plots.chapters.depths import DepthPanel, boundaries_by_module, measure_by_module
from localbook.plots.chapters.duals import hypersurface_and_dual, hypersurfaces
from localbook.plots.chapters.isolation import isolation_diagram
from localbook.plots.chapters.parallel import (
    accuracy_by_staleness,
    speed_up_by_modules,
    update_timeline,
)
from localbook.plots.chapters.polynomials import (
    DualPanel,
    curves,
    curves_and_duals,
    graph_and_lift,
    subdivisions,
)
from localbook.plots.chapters.probes import (
    exit_curves,
    matched_neurons,
    probes_by_depth,
    similarity_maps,
)
from localbook.plots.chapters.pruning import PRUNING, accuracy_by_compression, before_and_after
from localbook.plots.chapters.regions import RegionPanel, class_map, region_counts, region_panels
from localbook.plots.chapters.sgr import against_weight, contours, errors_by_step, seeds_by_variant
from localbook.plots.chapters.tickets import (
    distance_against_accuracy,
    dual_and_boundary,
    margins,
    over_pruning,
)
from localbook.plots.chapters.zonotopes import (
    hull_of_polygons,
    support_direction,
    times_by_size,
    zonotope_growth,
)
from localbook.plots.figure import new_figure, show, svg
from localbook.plots.images import image_grid
from localbook.plots.interactive.explore import explore
from localbook.plots.interactive.slider import slider
from localbook.plots.interactive.turn import Body, turn
from localbook.plots.style import METHOD, PALETTE
from localbook.plots.training import accuracy_by_module, over_epochs, seeds_by_method

__all__ = [
    "METHOD",
    "PALETTE",
    "PRUNING",
    "RULES",
    "AttackFrame",
    "Body",
    "DepthPanel",
    "DualPanel",
    "RegionPanel",
    "accuracy_against_price",
    "accuracy_by_compression",
    "accuracy_by_module",
    "accuracy_by_staleness",
    "against_weight",
    "attack_panels",
    "before_and_after",
    "boundaries_by_module",
    "bytes_by_depth",
    "bytes_over_step",
    "class_map",
    "contours",
    "cost_ratios",
    "curves",
    "curves_and_duals",
    "dependence",
    "distance_against_accuracy",
    "dual_and_boundary",
    "errors_by_step",
    "exit_curves",
    "explore",
    "final_losses",
    "graph_and_lift",
    "hull_of_polygons",
    "hypersurface_and_dual",
    "hypersurfaces",
    "image_grid",
    "isolation_diagram",
    "losses_and_bounds",
    "margins",
    "matched_neurons",
    "measure_by_module",
    "new_figure",
    "over_epochs",
    "over_pruning",
    "paths_and_losses",
    "probes_by_depth",
    "region_counts",
    "region_panels",
    "seeds_by_method",
    "seeds_by_name",
    "seeds_by_variant",
    "share_by_modules",
    "show",
    "similarity_maps",
    "slider",
    "speed_up_by_modules",
    "step_timeline",
    "subdivisions",
    "success_by_bound",
    "support_direction",
    "svg",
    "times_by_size",
    "turn",
    "update_timeline",
    "zonotope_growth",
]
