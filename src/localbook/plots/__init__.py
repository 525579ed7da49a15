"""The book's pictures: one house style, readable in light and dark, each with alt text.

Functions here draw what they are given and compute nothing; each returns a matplotlib figure that
:func:`show` puts into a notebook.
"""

from localbook.plots.convergence import final_losses, losses_and_bounds, paths_and_losses
from localbook.plots.duals import hypersurface_and_dual, hypersurfaces
from localbook.plots.explore import explore
from localbook.plots.figure import new_figure, show, svg
from localbook.plots.images import image_grid
from localbook.plots.isolation import isolation_diagram
from localbook.plots.probes import (
    exit_curves,
    matched_neurons,
    probes_by_depth,
    similarity_maps,
)
from localbook.plots.regions import RegionPanel, class_map, region_counts, region_panels
from localbook.plots.slider import slider
from localbook.plots.style import METHOD, PALETTE
from localbook.plots.training import accuracy_by_module, over_epochs, seeds_by_method
from localbook.plots.turn import Body, turn

__all__ = [
    "METHOD",
    "PALETTE",
    "Body",
    "RegionPanel",
    "accuracy_by_module",
    "class_map",
    "exit_curves",
    "explore",
    "final_losses",
    "hypersurface_and_dual",
    "hypersurfaces",
    "image_grid",
    "isolation_diagram",
    "losses_and_bounds",
    "matched_neurons",
    "new_figure",
    "over_epochs",
    "paths_and_losses",
    "probes_by_depth",
    "region_counts",
    "region_panels",
    "seeds_by_method",
    "show",
    "similarity_maps",
    "slider",
    "svg",
    "turn",
]
