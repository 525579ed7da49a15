"""Pictures of what modules learned: probes by depth, similarity maps, matched neurons, exits."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, METHOD, PALETTE, house_style

Values = NDArray[np.float64]


@house_style()
def probes_by_depth(accuracy: Mapping[str, Values]) -> Figure:
    """Draw the accuracy of linear probes from the input (depth 0) to the last module.

    Parameters
    ----------
    accuracy : mapping of method to float array, shape (seeds, L + 1)
        The mean over seeds is drawn as a line, the range as a band.
    """
    figure = new_figure()
    axes = figure.subplots()
    for method, values in accuracy.items():
        look = METHOD[method]
        depth = np.arange(values.shape[1])
        axes.fill_between(depth, values.min(0), values.max(0), color=look.colour, alpha=0.2)
        axes.plot(depth, values.mean(0), color=look.colour, marker=look.marker,
                  linestyle=look.line, label=look.label)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("depth (0 is the input)")
    axes.set_ylabel("accuracy of a linear probe")
    axes.legend(loc="lower right")
    return figure


@house_style()
def similarity_maps(maps: Mapping[str, Values], row: str) -> Figure:
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
        axes.imshow(cells, origin="lower", extent=_extent(values))
        for (i, j), value in np.ndenumerate(values):
            axes.text(j + 1, i + 1, f"{value:.1f}", ha="center", va="center", fontsize=8)
        axes.set_xlabel(column)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylabel(row)
    return figure


def _extent(values: Values) -> tuple[float, float, float, float]:
    return 0.5, values.shape[1] + 0.5, 0.5, values.shape[0] + 0.5


@house_style()
def matched_neurons(correlation: Mapping[str, Values]) -> Figure:
    """Draw the mean correlation of matched neurons at each module, one line for each comparison.

    Parameters
    ----------
    correlation : mapping of label to float array, shape (pairs of networks, L)
        The mean over pairs is drawn as a line, the range as a band.
    """
    figure = new_figure()
    axes = figure.subplots()
    looks = zip(PALETTE.values(), "so^Dv", ("-", "--", "-.", ":", "-"), strict=True)
    for (label, values), (colour, marker, line) in zip(correlation.items(), looks, strict=False):
        depth = np.arange(1, values.shape[1] + 1)
        axes.fill_between(depth, values.min(0), values.max(0), color=colour, alpha=0.2)
        axes.plot(depth, values.mean(0), color=colour, marker=marker, linestyle=line, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("module")
    axes.set_ylabel("mean correlation of partners")
    axes.set_ylim(0, 1)
    figure.legend(loc="outside right upper")
    return figure


@house_style()
def exit_curves(curves: Mapping[str, tuple[Values, Values]]) -> Figure:
    """Draw accuracy against the share of compute, one curve for each method.

    Parameters
    ----------
    curves : mapping of method to (compute, accuracy), each of shape (T,)
    """
    figure = new_figure()
    axes = figure.subplots()
    axes.axvline(1, color=FOREGROUND, linewidth=0.8, linestyle=":")
    for method, (compute, accuracy) in curves.items():
        look = METHOD[method]
        axes.plot(compute, accuracy, color=look.colour, marker=look.marker, markersize=4,
                  linestyle=look.line, label=look.label)  # fmt: skip
    axes.set_xlabel("compute, as a share of the whole network's")
    axes.set_ylabel("accuracy")
    axes.set_xlim(left=0)
    axes.legend(loc="lower right")
    return figure
