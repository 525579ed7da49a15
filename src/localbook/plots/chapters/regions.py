"""Pictures of linear regions and decision boundaries in the plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from localbook.arrays import Floats, Indices
from localbook.plots.figure import new_figure
from localbook.plots.style import PALETTE, house_style

_CLASSES: tuple[tuple[str, Literal["round", "projecting"]], ...] = (
    (PALETTE["blue"], "round"),
    (PALETTE["vermilion"], "projecting"),
)
_BOUNDARY = PALETTE["green"]
_FOLDS = PALETTE["purple"]
_SHADES = 5


@dataclass(frozen=True)
class RegionPanel:
    """One panel of :func:`region_panels`.

    Attributes
    ----------
    title : str
    polygons : sequence of float arrays, shape (k, 2)
        The regions' corners in order.
    values : float array, shape (regions,)
        From -1 to 1: the sign chooses a region's colour, the size how strong it is.
    segments : float array, shape (m, 2, 2)
        The decision boundary.
    points, labels : float array, shape (N, 2), and int array, shape (N,)
        Samples of the classes 0 and 1.
    """

    title: str
    polygons: Sequence[Floats]
    values: Floats
    segments: Floats = field(default_factory=lambda: np.zeros((0, 2, 2)))
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    labels: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


@house_style()
def region_panels(panels: Sequence[RegionPanel]) -> Figure:
    """Draw regions as a mosaic with the boundary and samples on it, two panels in a row."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(3.2 * columns, 3.3 * rows)
    for axes, panel in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=True):
        _mosaic(axes, panel.polygons, panel.values)
        _lines(axes, panel.segments, _BOUNDARY, 2.2)
        for label, (colour, cap) in enumerate(_CLASSES):
            chosen = panel.points[panel.labels == label]
            # Segments of no length: their caps are the dots, at a fifth of the size of markers.
            _lines(axes, np.stack([chosen, chosen], axis=1), colour, 2.6, cap)
        _plane(axes, panel.polygons)
        axes.set_title(panel.title)
    return figure


@house_style()
def class_map(
    polygons: Sequence[Floats],
    segments: Floats,
    names: Mapping[str, tuple[float, float]],
    marks: Mapping[str, tuple[float, float]],
) -> Figure:
    """Draw the boundaries between classes on the folds of a network.

    Parameters
    ----------
    polygons : sequence of float arrays, shape (k, 2)
        The linear regions; only their sides are drawn.
    segments : float array, shape (m, 2, 2)
        The boundary.
    names : mapping of a class's name to the place where it is written
    marks : mapping of a point's name to the point
    """
    figure = new_figure(6.0, 5.4)
    axes = figure.subplots()
    axes.add_patch(
        PathPatch(_closed(polygons), fill=False, edgecolor=_FOLDS, linewidth=0.4, alpha=0.5)
    )
    _lines(axes, segments, PALETTE["blue"], 1.8)
    for name, (x, y) in names.items():
        axes.text(x, y, name, fontsize=15, weight="bold", ha="center", va="center")
    for name, (x, y) in marks.items():
        axes.plot(x, y, "o", color=PALETTE["vermilion"])
        axes.annotate(name, (x, y), (6, 6), textcoords="offset points", color=PALETTE["vermilion"])
    _plane(axes, polygons, ("$u$", "$v$"))
    return figure


@house_style()
def region_counts(
    steps: Sequence[int], counts: Mapping[str, Sequence[int]], bounds: Mapping[str, float]
) -> Figure:
    """Draw how many regions networks have during training, and the most that each could have.

    Parameters
    ----------
    steps : sequence of int
    counts : mapping of a network's name to its counts, one for each step
    bounds : mapping of the same names to the bound, drawn dashed
    """
    figure = new_figure()
    axes = figure.subplots()
    for number, (name, values) in enumerate(counts.items()):
        colour = list(PALETTE.values())[number]
        axes.plot(steps, values, color=colour, marker="os^D"[number], label=name)
        axes.axhline(bounds[name], color=colour, linestyle="--", linewidth=1.2)
        place = (1, bounds[name])
        axes.annotate(
            f"bound for {name}", place, (0, 3), ("axes fraction", "data"), "offset points",
            ha="right", fontsize=8, color=colour,
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("training step")
    axes.set_ylabel("linear regions in the box")
    axes.legend()
    return figure


def _mosaic(axes: Axes, polygons: Sequence[Floats], values: Floats) -> None:
    """Fill the polygons; all of one shade are one path, which keeps the drawing small."""
    shade = np.ceil(np.abs(values) * _SHADES).clip(1, _SHADES).astype(int)
    for sign, (colour, _) in zip((1, -1), _CLASSES, strict=True):
        for level in range(1, _SHADES + 1):
            chosen = np.flatnonzero((shade == level) & ((values >= 0) == (sign > 0)))
            if len(chosen):
                axes.add_patch(
                    PathPatch(
                        _closed([polygons[k] for k in chosen.tolist()]),
                        facecolor=(colour, 0.1 * level),
                        edgecolor=(colour, 0.6),
                        linewidth=0.35,
                    )
                )


def _closed(polygons: Sequence[Floats]) -> Path:
    """Return closed polygons as one path."""
    codes = [[Path.MOVETO, *[Path.LINETO] * (len(p) - 1), Path.CLOSEPOLY] for p in polygons]
    corners = [np.vstack([p, p[:1]]) for p in polygons]
    return Path(np.concatenate(corners), np.concatenate(codes))


def _lines(
    axes: Axes,
    segments: Floats,
    colour: str,
    width: float,
    cap: Literal["round", "projecting"] = "round",
) -> None:
    """Draw segments, shape (m, 2, 2), as one path."""
    if not len(segments):
        return
    codes = np.tile([Path.MOVETO, Path.LINETO], len(segments))
    path = Path(segments.reshape(-1, 2), codes)
    path.should_simplify = False
    axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, linewidth=width, capstyle=cap))


def _plane(
    axes: Axes, polygons: Sequence[Floats], names: tuple[str, str] = ("$x_1$", "$x_2$")
) -> None:
    """Fit the axes to the polygons, with equal units."""
    corners = np.concatenate(list(polygons))
    axes.set_xlim(corners[:, 0].min(), corners[:, 0].max())
    axes.set_ylim(corners[:, 1].min(), corners[:, 1].max())
    axes.set_aspect("equal")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
