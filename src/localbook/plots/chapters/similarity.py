"""How alike the modules of two networks are."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.style import PALETTE, house_style


@house_style()
def similarity_maps(maps: Mapping[str, Floats], row: str) -> Figure:
    """Draw one map of similarities for each name, with its numbers written in.

    Parameters
    ----------
    maps : mapping of axis label to float array, shape (L, L)
        Row l, from the bottom, is layer l of the network called ``row``; column l of the other.
    row : str
    """
    figure = new_figure(7.2, 2.9)
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    for axes, (column, values) in zip(panels, maps.items(), strict=True):
        # Clear to coloured, so that a cell of no similarity has the page's own background.
        rgb = [int(PALETTE["blue"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        cells = np.empty((*values.shape, 4))
        cells[..., :3] = rgb
        cells[..., 3] = 0.75 * np.clip(values, 0, 1) ** 2
        rows, columns = values.shape
        axes.imshow(cells, origin="lower", extent=(0.5, columns + 0.5, 0.5, rows + 0.5))
        for (i, j), value in np.ndenumerate(values):
            axes.text(j + 1, i + 1, f"{value:.1f}", ha="center", va="center", fontsize=8)
        axes.set_xlabel(column)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylabel(row)
    return figure
