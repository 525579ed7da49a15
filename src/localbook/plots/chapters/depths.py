"""Pictures of what each module's head decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

from localbook.arrays import Box, Floats, Indices
from localbook.plots.figure import new_figure
from localbook.plots.shapes import dots, segments
from localbook.plots.style import PALETTE, house_style

_DOTS = (PALETTE["green"], PALETTE["vermilion"])


@dataclass(frozen=True)
class DepthPanel:
    """One head in :func:`boundaries_by_module`.

    Attributes
    ----------
    segments : float array, shape (m, 2, 2)
        Its decision boundary.
    before : float array, shape (k, 2, 2)
        The boundary of the head before it: between the two lines these heads decide differently.
    """

    segments: Floats
    before: Floats = field(default_factory=lambda: np.zeros((0, 2, 2)))


@house_style()
def boundaries_by_module(
    rows: Mapping[str, Sequence[DepthPanel]], points: Floats, labels: Indices, box: Box
) -> Figure:
    """Draw the boundary of every head, one row for each network, one column for each module.

    Parameters
    ----------
    rows : mapping of a network's name to its panels, first module first
    points, labels : float array, shape (N, 2), and int array, shape (N,)
        Samples of the classes 0 and 1.
    box : ((x0, x1), (y0, y1))
    """
    columns = max(map(len, rows.values()))
    figure = new_figure(6.4, 0.35 + 1.6 * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, panels) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(name)
        for axes, panel in zip(line, panels, strict=True):
            for label, colour in enumerate(_DOTS):
                dots(axes, points[labels == label], colour, 2)
            segments(axes, panel.segments, PALETTE["blue"], 1.5)
            segments(axes, panel.before, PALETTE["purple"], 1.1, "--")
            axes.set(xlim=box[0], ylim=box[1], aspect="equal", xticks=[], yticks=[])
    for number, axes in enumerate(grid[0], start=1):
        axes.set_title(f"module {number}")
    return figure
