"""Pictures of pruning: boundary and zonotopes before and after, accuracy against compression."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from localbook.plots.figure import new_figure
from localbook.plots.style import PALETTE, Look, house_style

Array = NDArray[np.float64]

PRUNING = {
    "tropical": Look("tropical", PALETTE["vermilion"], "o", "-"),
    "class-blind": Look("class-blind", PALETTE["blue"], "s", "--"),
    "class-uniform": Look("class-uniform", PALETTE["green"], "^", "-."),
    "class-distribution": Look("class-distribution", PALETTE["purple"], "D", ":"),
    "snip": Look("SNIP", PALETTE["ochre"], "v", "--"),
    "torch-l1": Look("torch, l1", PALETTE["green"], "x", ":"),
    "tropical-neurons": Look("tropical, neurons", PALETTE["vermilion"], "P", ":"),
    "torch-ln": Look("torch, neurons", PALETTE["blue"], "X", ":"),
}
"""How each pruning looks in every figure: never by colour alone."""


@house_style()
def before_and_after(
    boundary: tuple[Array, Array],
    zonotopes: Mapping[str, tuple[Array, Array]],
    samples: tuple[Array, NDArray[np.intp]],
    title: str,
) -> Figure:
    """Draw a planar boundary and the zonotopes of a network, before and after pruning.

    Nothing but the network after pruning moves between figures of one network before it, so that
    they make the frames of a slider.

    Parameters
    ----------
    boundary : two ndarrays (m, 2, 2)
        Segments before and after.
    zonotopes : mapping of str to two ndarrays (k, 2)
        For each class the corners of its polygon before and after.
    samples : ndarray (N, 2) and int ndarray (N,)
        Points of the two classes; they set the limits.
    title : str
    """
    figure = new_figure(6.4, 3.7)
    left, right = figure.subplots(1, 2)
    points, labels = samples
    for number, (colour, marker) in enumerate(((PALETTE["green"], "."), (PALETTE["purple"], "+"))):
        left.plot(*points[labels == number].T, marker, color=colour, markersize=4)
    _segments(left, boundary[0], PALETTE["blue"], "--", 1.2, "before")
    _segments(left, boundary[1], PALETTE["vermilion"], "-", 2.2, "after")
    _limits(left, points)
    left.set_title(title)
    left.set_xlabel("$x_1$")
    left.set_ylabel("$x_2$")
    for colour, (label, (old, new)) in zip(
        (PALETTE["green"], PALETTE["purple"]), zonotopes.items(), strict=True
    ):
        right.plot(*np.vstack([old, old[:1]]).T, "--", color=colour, linewidth=1.2)
        right.fill(*new.T, facecolor=colour, alpha=0.3, edgecolor=colour, label=label)
    _limits(right, np.vstack([old for old, _ in zonotopes.values()]))
    right.set_title("zonotopes")
    right.set_xlabel("first exponent")
    right.set_ylabel("second exponent")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


@house_style()
def accuracy_by_compression(
    panels: Mapping[str, Mapping[str, Array]], compressions: Array, dense: float
) -> Figure:
    """Draw accuracy against compression: mean over seeds, and the range as a band.

    Parameters
    ----------
    panels : mapping of title to mapping of method to ndarray (seeds, compressions)
        Methods are keys of :data:`PRUNING`.
    compressions : ndarray (compressions,)
        Shares of the parameters that are removed.
    dense : float
        Accuracy before pruning.
    """
    figure = new_figure(6.4, 4.2)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, methods) in zip(all_axes, panels.items(), strict=True):
        axes.axhline(dense, color=PALETTE["ochre"], linewidth=0.8)
        for method, values in methods.items():
            look = PRUNING[method]
            axes.fill_between(
                compressions, values.min(0), values.max(0), color=look.colour, alpha=0.1
            )
            axes.plot(
                compressions, values.mean(0), look.line, marker=look.marker, color=look.colour,
                label=look.label, markersize=4, linewidth=1.3,
            )  # fmt: skip
        axes.set_title(title)
        axes.set_xlabel("compression")
        axes.set_xticks(compressions)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    all_axes[0].set_ylabel("test accuracy")
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _segments(
    axes: Axes, segments: Array, colour: str, line: str, width: float, label: str
) -> None:
    axes.add_collection(
        LineCollection(
            list(segments), colors=colour, linestyles=line, linewidths=width, label=label
        )
    )


def _limits(axes: Axes, points: Array) -> None:
    """Fix the limits around some points, whatever else is drawn."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.06 * (high - low)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
