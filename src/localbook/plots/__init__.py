"""The book's pictures: one house style, readable in light and dark, each with alt text.

Measurements go through three charts, :func:`lines`, :func:`seeds` and :func:`ratios`; a picture
that explains an idea has a function of its own. All draw what they are given and compute nothing;
each returns a matplotlib figure that :func:`show` puts into a notebook.
"""

from localbook.plots.chapters import (
    AttackFrame,
    DepthPanel,
    DualPanel,
    RegionPanel,
    accuracy_against_price,
    attack_panels,
    before_and_after,
    boundaries_by_module,
    class_map,
    contours,
    curves_and_duals,
    dependence,
    graph_and_lift,
    hull_of_polygons,
    hypersurface_and_dual,
    hypersurfaces,
    isolation_diagram,
    margins,
    paths_and_losses,
    region_panels,
    similarity_maps,
    step_timeline,
    subdivisions,
    support_direction,
    update_timeline,
    zonotope_growth,
)
from localbook.plots.charts import image_grid, lines, ratios, seeds
from localbook.plots.figure import new_figure, show, svg
from localbook.plots.interactive import Body, slider, turn
from localbook.plots.style import LOOKS, PALETTE

__all__ = [
    "LOOKS",
    "PALETTE",
    "AttackFrame",
    "Body",
    "DepthPanel",
    "DualPanel",
    "RegionPanel",
    "accuracy_against_price",
    "attack_panels",
    "before_and_after",
    "boundaries_by_module",
    "class_map",
    "contours",
    "curves_and_duals",
    "dependence",
    "graph_and_lift",
    "hull_of_polygons",
    "hypersurface_and_dual",
    "hypersurfaces",
    "image_grid",
    "isolation_diagram",
    "lines",
    "margins",
    "new_figure",
    "paths_and_losses",
    "ratios",
    "region_panels",
    "seeds",
    "show",
    "similarity_maps",
    "slider",
    "step_timeline",
    "subdivisions",
    "support_direction",
    "svg",
    "turn",
    "update_timeline",
    "zonotope_growth",
]
