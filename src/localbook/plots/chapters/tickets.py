"""Pictures of pruning: polytopes and boundaries round by round, and what they cost."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from localbook.arrays import Floats, Indices
from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, PALETTE, house_style

_CLASSES = (("0", PALETTE["blue"], "o"), ("1", PALETTE["vermilion"], "x"))
_BOUNDARY = PALETTE["green"]
_LOOKS = (
    (PALETTE["blue"], "o", "-"),
    (PALETTE["vermilion"], "s", "--"),
    (PALETTE["green"], "^", "-."),
    (PALETTE["ochre"], "D", ":"),
)


@house_style()
def dual_and_boundary(
    dense: tuple[Sequence[Floats], Floats],
    pruned: tuple[Sequence[Floats], Floats],
    samples: tuple[Floats, Indices],
    title: str = "",
) -> Figure:
    """Draw the dual polytope and the boundary of a pruned network on those of the dense one.

    Limits and size depend on the dense network and the samples alone, so that the figures of all
    rounds lie on one another.

    Parameters
    ----------
    dense, pruned : two zonotopes, float arrays (v, 2), and segments, float array (m, 2, 2)
        The corners of the zonotopes of the classes 0 and 1 in order, and the boundary.
    samples : points, float array (N, 2), and labels, int array (N,)
    title : str
    """
    figure = new_figure(6.4, 3.8)
    left, right = figure.subplots(1, 2)
    for (name, colour, _), before, now in zip(_CLASSES, dense[0], pruned[0], strict=True):
        closed = np.vstack([before, before[:1]])
        left.plot(*closed.T, "--", color=colour, linewidth=1)
        left.fill(*now.T, facecolor=(colour, 0.3), edgecolor=colour, label=f"class {name}")
        left.plot(*now.T, ".", color=colour, markersize=3)
    reach = 1.1 * max(float(np.abs(corners).max()) for corners in dense[0])
    _square(left, reach, ("first exponent", "second exponent"), "dual polytope")
    for label, (_, colour, marker) in enumerate(_CLASSES):
        right.plot(*samples[0][samples[1] == label].T, marker, color=colour, ms=2.5, alpha=0.7)
    for segments, line, width in ((dense[1], "--", 1.0), (pruned[1], "-", 2.4)):
        right.add_collection(
            LineCollection(list(segments), colors=_BOUNDARY, linestyles=line, linewidths=width)
        )
    _square(right, 1.05 * float(np.abs(samples[0]).max()), ("$x_1$", "$x_2$"), "decision boundary")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(title)
    return figure


def _square(axes: Axes, reach: float, labels: tuple[str, str], title: str) -> None:
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_title(title)


@house_style()
def distance_against_accuracy(
    groups: Mapping[str, tuple[Floats, Floats]], xlabel: str = "distance of the dual polytope"
) -> Figure:
    """Draw the accuracy of networks against the distance of their polytopes from the dense ones'.

    Parameters
    ----------
    groups : mapping of label to (distances, accuracies)
        Up to four groups.
    xlabel : str
    """
    figure = new_figure()
    axes = figure.subplots()
    for (label, (distance, accuracy)), (colour, marker, _) in zip(
        groups.items(), _LOOKS, strict=False
    ):
        axes.plot(distance, accuracy, marker, color=colour, alpha=0.65, label=label)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("accuracy")
    axes.legend()
    return figure


@house_style()
def over_pruning(
    panels: Mapping[str, Mapping[str, Floats]], left: Sequence[float], ylabel: str
) -> Figure:
    """Draw a measure against the share of weights left: mean over seeds, and the range as a band.

    Parameters
    ----------
    panels : mapping of title to mapping of label to float array, shape (seeds, rounds)
        Up to four lines; all panels share the axis of the measure.
    left : sequence of float
        The share of the weights left in each round.
    ylabel : str
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(6.4, 0.9 + 2.1 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        for (label, values), (colour, marker, line) in zip(lines.items(), _LOOKS, strict=False):
            axes.fill_between(left, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0)
            axes.plot(
                left, values.mean(0), color=colour, marker=marker, linestyle=line, label=label, ms=4
            )
        axes.set_xscale("log")
        axes.set_title(title)
        axes.set_xlabel("weights left")
        axes.tick_params(axis="x", which="both", labelbottom=True)  # below it may be no panel
        axes.set_ylabel(ylabel)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_minor_formatter("")
        axes.set_xticks([tick for tick in (1, 0.3, 0.1, 0.03) if tick >= min(left)])
    for axes in list(grid.flat)[len(panels) :]:
        axes.remove()
    grid[0, 0].invert_xaxis()
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


@house_style()
def margins(
    margin: Floats, kept: NDArray[np.bool_], certified: float, xlabel: str = "margin"
) -> Figure:
    """Draw how many samples of each margin are still decided alike, and where that is proven.

    Parameters
    ----------
    margin : float array, shape (N,)
    kept : bool array, shape (N,)
        Whether the pruned network decides as the dense one did.
    certified : float
        From this margin on it must.
    xlabel : str
    """
    figure = new_figure(6.4, 3.0)
    axes = figure.subplots()
    top = 1.05 * max(float(margin.max()), certified)
    bins = np.linspace(0, top, 41).tolist()
    axes.hist(
        [margin[kept], margin[~kept]],
        bins,
        stacked=True,
        color=[PALETTE["blue"], PALETTE["vermilion"]],
        label=["same class", "another class"],
    )
    axes.axvline(certified, color=FOREGROUND, linestyle="--", label="proven from here on")
    axes.set_xlabel(xlabel)
    axes.set_ylabel("samples")
    axes.legend()
    return figure
