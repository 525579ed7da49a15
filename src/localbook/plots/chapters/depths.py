"""Pictures of what each module's head decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.style import PALETTE, house_style

_DOTS = (PALETTE["green"], PALETTE["vermilion"])
_LINES = ("-", "--", "-.", ":")


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
    rows: Mapping[str, Sequence[DepthPanel]],
    points: Floats,
    labels: NDArray[np.intp],
    box: tuple[tuple[float, float], tuple[float, float]],
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
            _panel(axes, panel, points, labels)
            axes.set_xlim(box[0])
            axes.set_ylim(box[1])
    for number, axes in enumerate(grid[0], start=1):
        axes.set_title(f"module {number}")
    return figure


def _panel(axes: Axes, panel: DepthPanel, points: Floats, labels: NDArray[np.intp]) -> None:
    for label, colour in enumerate(_DOTS):
        # One path of segments without length: their caps are the dots, smaller in the page.
        chosen = points[labels == label]
        axes.add_collection(
            LineCollection(
                list(np.stack([chosen, chosen], axis=1)), colors=colour, linewidths=2,
                capstyle="round",
            )
        )  # fmt: skip
    for segments, colour, line, width in (
        (panel.segments, PALETTE["blue"], "-", 1.5),
        (panel.before, PALETTE["purple"], (0, (3, 2)), 1.1),
    ):
        axes.add_collection(
            LineCollection(list(segments), colors=colour, linestyles=line, linewidths=width)
        )
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


@house_style()
def measure_by_module(values: Mapping[str, Floats], ylabel: str, first: int = 1) -> Figure:
    """Draw a measure at every module: mean over seeds, and the range as a band.

    Parameters
    ----------
    values : mapping of a network's name to float array, shape (seeds, n)
    ylabel : str
    first : int
        The module of the first column.
    """
    figure = new_figure(6.4, 3.3)
    axes = figure.subplots()
    looks = zip(cycle(PALETTE.values()), cycle("so^Dv"), cycle(_LINES), strict=False)
    for (name, rows), (colour, marker, line) in zip(values.items(), looks, strict=False):
        place = np.arange(first, first + rows.shape[1])
        axes.fill_between(place, rows.min(0), rows.max(0), color=colour, alpha=0.15)
        axes.plot(place, rows.mean(0), color=colour, marker=marker, linestyle=line, label=name)
    axes.set_xlabel("module")
    axes.set_ylabel(ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right center")
    return figure
