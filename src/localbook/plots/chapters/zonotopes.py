"""Pictures of planar zonotopes, of their hulls, and of how long methods take."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from localbook.arrays import Floats, Masks
from localbook.plots.figure import new_figure
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
    _limits(left, np.vstack([generators, -generators]))
    for polygon in polygons[: shown - 1]:
        right.fill(*polygon.T, fill=False, edgecolor=_BODY, linewidth=0.8, alpha=0.6)
    last = polygons[shown - 1]
    right.fill(*last.T, facecolor=(_BODY, 0.3), edgecolor=_BODY, linewidth=2)
    if shown > 1:
        swept = np.stack([polygons[shown - 2], polygons[shown - 2] + generators[shown - 1]], axis=1)
        right.add_collection(LineCollection(list(swept), colors=_CHOSEN, linewidths=0.9))
    _limits(right, np.vstack(polygons))
    _name(left, "generators")
    _name(right, f"zonotope, {len(last)} vertices")
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
    reach = _limits(left, np.vstack([generators, -generators]))
    left.plot(*np.outer([-reach, reach], along).T, color=_OTHER, linestyle="--", linewidth=1.2)
    _arrow(left, np.zeros(2), 0.9 * reach * direction, _OTHER)
    right.fill(*vertices.T, facecolor=(_BODY, 0.3), edgecolor=_BODY, linewidth=1.5)
    size = _limits(right, vertices, margin=0.2)
    line = vertex + np.outer([-2 * size, 2 * size], along)
    right.plot(*line.T, color=_OTHER, linestyle="--", linewidth=1.2)
    _arrow(right, vertex, 0.3 * size * direction, _OTHER)
    right.plot(*vertex, "o", color=_CHOSEN, markersize=8)
    _name(left, "generators, positive ones thick")
    _name(right, "vertex farthest in the direction")
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
        look = PALETTE[colour]
        axes.fill(*corners.T, facecolor=(look, 0.35), edgecolor=look, label=label)
    axes.plot(*np.vstack([hull, hull[:1]]).T, color=_BODY, linewidth=1.5, label="hull")
    axes.add_collection(
        LineCollection(list(bridges), colors=_CHOSEN, linewidths=3.2, label="bridges")
    )
    _limits(axes, hull)
    _name(axes, "")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


@house_style()
def times_by_size(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], label: str
) -> Figure:
    """Draw how long methods take against the size of their input, on logarithmic axes.

    Parameters
    ----------
    panels : mapping of a title to a mapping of a method to its sizes and milliseconds
        The first method stands out.
    label : str
        What the size is.
    """
    figure = new_figure(6.6, 3.5)
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    for axes, (title, curves) in zip(row, panels.items(), strict=True):
        for method, (sizes, times) in curves.items():
            number = names.index(method)
            colour = number and 1 + (number - 1) % (len(PALETTE) - 1)  # the first one's is its own
            axes.plot(
                sizes, times, marker="os^Dvx"[number % 6],
                color=list(PALETTE.values())[colour],
                linestyle="-" if not number else "--", linewidth=2.6 if not number else 1.3,
                label=method,
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(title)
        axes.set_xlabel(label)
        axes.set_ylabel("milliseconds")
    handles = {h.get_label(): h for axes in row for h in axes.get_legend_handles_labels()[0]}
    figure.legend(list(handles.values()), names, loc="outside lower center", ncols=3)
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


def _limits(axes: Axes, points: Floats, margin: float = 0.1) -> float:
    """Show a square around points, and return half its side."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = (1 + margin) * float((high - low).max()) / 2
    (x, y) = (low + high) / 2
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y - half, y + half)
    axes.set_aspect("equal")
    return half


def _name(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("$x_1$")
    axes.set_ylabel("$x_2$")
