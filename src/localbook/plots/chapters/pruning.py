"""What pruning changes: boundary and zonotopes before and after, and which samples may move."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from localbook.arrays import Floats, Indices, Masks
from localbook.plots.figure import new_figure
from localbook.plots.shapes import (
    EXPONENTS,
    INPUTS,
    label_axes,
    legend_below,
    outline,
    polygon,
    segments,
    square,
)
from localbook.plots.style import FOREGROUND, PALETTE, house_style

_CLASSES = ((PALETTE["green"], "."), (PALETTE["purple"], "+"))


@house_style()
def before_and_after(
    boundary: tuple[Floats, Floats],
    zonotopes: Mapping[str, tuple[Floats, Floats]],
    samples: tuple[Floats, Indices],
    title: str,
) -> Figure:
    """Draw a planar boundary and the zonotopes of a network, before and after pruning.

    Nothing but the network after pruning moves between figures of one network before it, so that
    they make the frames of a slider.

    Parameters
    ----------
    boundary : two float arrays, shape (m, 2, 2)
        Segments before and after.
    zonotopes : mapping of str to two float arrays, shape (k, 2)
        For each class the corners of its polygon before and after.
    samples : float array, shape (N, 2), and int array, shape (N,)
        Points of the two classes; they set the limits.
    title : str
    """
    figure = new_figure(6.4, 3.7)
    left, right = figure.subplots(1, 2)
    points, labels = samples
    for number, (colour, marker) in enumerate(_CLASSES):
        left.plot(*points[labels == number].T, marker, color=colour, markersize=4)
    segments(left, boundary[0], PALETTE["blue"], 1.2, "--", "before")
    segments(left, boundary[1], PALETTE["vermilion"], 2.2, label="after")
    square(left, points)
    label_axes(left, title, INPUTS)
    for (colour, _), (label, (old, new)) in zip(_CLASSES, zonotopes.items(), strict=True):
        outline(right, old, colour)
        polygon(right, new, colour, label)
        right.plot(*new.T, ".", color=colour, markersize=3)  # it may be one point
    square(right, np.vstack([old for old, _ in zonotopes.values()]))
    label_axes(right, "zonotopes", EXPONENTS)
    legend_below(figure, 4)
    return figure


@house_style()
def margins(margin: Floats, kept: Masks, certified: float, xlabel: str = "margin") -> Figure:
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
    axes.hist(
        [margin[kept], margin[~kept]],
        np.linspace(0, top, 41).tolist(),
        stacked=True,
        color=[PALETTE["blue"], PALETTE["vermilion"]],
        label=["same class", "another class"],
    )
    axes.axvline(certified, color=FOREGROUND, linestyle="--", label="proven from here on")
    label_axes(axes, "", (xlabel, "samples"))
    axes.legend()
    return figure
