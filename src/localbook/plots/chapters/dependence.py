"""Who depends on whom: which module's update changes when another module's weights do."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from localbook.arrays import Masks
from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, PALETTE, house_style

_COLUMNS = 4


@house_style()
def dependence(matrices: Mapping[str, Masks]) -> Figure:
    """Draw one square for each method: a mark where module l's update needs module j's weights.

    Marks above the diagonal, where an update needs modules that come later, differ from the others
    in shape and colour.

    Parameters
    ----------
    matrices : mapping of method to bool array, shape (L, L)
        Entry (l, j): the update of module l + 1 depends on the weights of module j + 1.
    """
    rows = -(-len(matrices) // _COLUMNS)
    figure = new_figure(6.8, 2.0 * rows)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes in panels.flat[len(matrices) :]:
        axes.set_axis_off()
    for axes, (title, matrix) in zip(panels.flat, matrices.items(), strict=False):
        for (update, weights), needs in np.ndenumerate(matrix):
            if needs:
                later = weights > update
                colour = PALETTE["vermilion"] if later else PALETTE["blue"]
                marker = "^" if later else "s"
                axes.plot(weights + 1, update + 1, marker, color=colour, markersize=9)
        size = len(matrix)
        axes.plot([0.5, size + 0.5], [0.5, size + 0.5], color=FOREGROUND, linewidth=0.6)
        axes.set_title(title, fontsize=10)
        ticks = range(1, size + 1)
        axes.set(xlim=(0.4, size + 0.6), xticks=ticks, ylim=(size + 0.6, 0.4), yticks=ticks)
        axes.set_aspect("equal")
    for axes in panels[:, 0]:
        axes.set_ylabel("update of module")
    for axes in panels[-1]:
        axes.set_xlabel("weights of module")
    return figure
