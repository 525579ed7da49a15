"""Planar zonotopes, and the hulls of several."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from localbook.arrays import Floats, Masks
from localbook.plots.figure import new_figure
from localbook.plots.shapes import (
    INPUTS,
    label_axes,
    legend_below,
    outline,
    polygon,
    segments,
    square,
)
from localbook.plots.style import PALETTE, house_style

_BODY = PALETTE["blue"]
_CHOSEN = PALETTE["vermilion"]
_OTHER = PALETTE["green"]


@house_style()
def zonotope_growth(generators: Floats, polygons: Sequence[Floats], shown: int) -> Figure:
    """Draw a planar zonotope that was swept by one generator after the other.

    Parameters
    ----------
    generators : float array, shape (p, 2)
    polygons : sequence of p float arrays, shape (v, 2)
        The zonotopes of the first, the first two, ... generators, which set the limits.
    shown : int
        How many generators to show, from 1 to p; the last of them stands out.
    """
    figure = new_figure(6.4, 3.3)
    left, right = figure.subplots(1, 2)
    _arrows(left, generators[:shown], np.arange(shown) == shown - 1)
    square(left, np.vstack([generators, -generators]))
    for before in polygons[: shown - 1]:
        right.fill(*before.T, fill=False, edgecolor=_BODY, linewidth=0.8, alpha=0.6)
    last = polygons[shown - 1]
    polygon(right, last, _BODY, width=2)
    if shown > 1:
        swept = np.stack([polygons[shown - 2], polygons[shown - 2] + generators[shown - 1]], axis=1)
        segments(right, swept, _CHOSEN, 0.9)
    square(right, np.vstack(polygons))
    label_axes(left, "generators", INPUTS)
    label_axes(right, f"zonotope, {len(last)} vertices", INPUTS)
    return figure


@house_style()
def support_direction(
    generators: Floats, positive: Masks, vertices: Floats, vertex: Floats, direction: Floats
) -> Figure:
    """Draw which generators are positive in a direction, and the vertex that is farthest in it.

    Parameters
    ----------
    generators : float array, shape (p, 2)
    positive : bool array, shape (p,)
    vertices : float array, shape (v, 2)
        Of the zonotope, in order.
    vertex, direction : float array, shape (2,)
        The direction a unit vector.
    """
    figure = new_figure(6.4, 3.3)
    left, right = figure.subplots(1, 2)
    _arrows(left, generators, positive)
    along = np.array([-direction[1], direction[0]])
    reach = square(left, np.vstack([generators, -generators]))
    left.plot(*np.outer([-reach, reach], along).T, color=_OTHER, linestyle="--", linewidth=1.2)
    _arrow(left, np.zeros(2), 0.9 * reach * direction, _OTHER)
    polygon(right, vertices, _BODY, width=1.5)
    size = square(right, vertices, margin=0.2)
    line = vertex + np.outer([-2 * size, 2 * size], along)
    right.plot(*line.T, color=_OTHER, linestyle="--", linewidth=1.2)
    _arrow(right, vertex, 0.3 * size * direction, _OTHER)
    right.plot(*vertex, "o", color=_CHOSEN, markersize=8)
    label_axes(left, "generators, positive ones thick", INPUTS)
    label_axes(right, "vertex farthest in the direction", INPUTS)
    return figure


@house_style()
def hull_of_polygons(polygons: Mapping[str, Floats], hull: Floats, bridges: Floats) -> Figure:
    """Draw convex polygons with their common hull, and the hull's edges between them.

    Parameters
    ----------
    polygons : mapping of a label to a float array, shape (v, 2)
    hull : float array, shape (h, 2)
        Vertices in order.
    bridges : float array, shape (m, 2, 2)
    """
    figure = new_figure(5.2, 3.8)
    axes = figure.subplots()
    for colour, (label, corners) in zip(
        ("green", "purple", "ochre"), polygons.items(), strict=False
    ):
        polygon(axes, corners, PALETTE[colour], label)
    outline(axes, hull, _BODY, "-", "hull")
    segments(axes, bridges, _CHOSEN, 3.2, label="bridges")
    square(axes, hull)
    label_axes(axes, "", INPUTS)
    legend_below(figure, 4)
    return figure


def _arrows(axes: Axes, generators: Floats, chosen: Masks) -> None:
    for generator, strong in zip(generators, chosen, strict=True):
        _arrow(axes, np.zeros(2), generator, _CHOSEN if strong else _BODY, 2.6 if strong else 1.2)


def _arrow(axes: Axes, start: Floats, step: Floats, colour: str, width: float = 1.6) -> None:
    axes.annotate(
        "", tuple(start + step), tuple(start),
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0,
                    "shrinkB": 0},
    )  # fmt: skip
