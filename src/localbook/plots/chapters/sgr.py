"""Distances between two gradients, as level lines."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.shapes import label_axes
from localbook.plots.style import PALETTE, house_style


@house_style()
def contours(
    panels: Mapping[str, Floats], axis: Floats, target: tuple[float, float], labels: tuple[str, str]
) -> Figure:
    """Draw level lines of functions of two numbers, one a panel, with the point they aim at.

    Parameters
    ----------
    panels : mapping of title to float array, shape (n, n)
        Values; the second number varies along the first axis.
    axis : float array, shape (n,)
        Both numbers.
    target : two floats
        Drawn as an arrow from the origin.
    labels : two str
        Of the axes.
    """
    figure = new_figure(6.4, 2.6)
    for axes, (title, values) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        axes.contour(axis, axis, values, levels=9, colors=PALETTE["blue"], linewidths=1)
        axes.annotate(
            "", target, (0, 0), arrowprops={"arrowstyle": "-|>", "color": PALETTE["vermilion"]}
        )
        label_axes(axes, title, labels)
        axes.set_aspect("equal")
    return figure
