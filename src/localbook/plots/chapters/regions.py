"""Pictures of linear regions and decision boundaries in the plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from numpy.typing import ArrayLike

from localbook.arrays import Floats, Indices
from localbook.errors import ConfigError
from localbook.plots.figure import new_figure
from localbook.plots.shapes import INPUTS, Cap, closed, dots, legend_below, polygon, segments
from localbook.plots.style import PALETTE, house_style, looks

_CLASSES: tuple[tuple[str, Cap], ...] = (
    (PALETTE["blue"], "round"),
    (PALETTE["vermilion"], "projecting"),
)
_BOUNDARY = PALETTE["green"]
_FOLDS = PALETTE["purple"]
_SHADES = 5
_KINDS = 6  # of segments that can be told apart


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
    folds : float array, shape (m, 2, 2), optional
        What is drawn in place of the sides of polygons that are only parts of regions.
    """

    title: str
    polygons: Sequence[Floats]
    values: Floats
    segments: Floats = field(default_factory=lambda: np.zeros((0, 2, 2)))
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    labels: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    folds: Floats | None = None


@house_style()
def region_panels(panels: Sequence[RegionPanel]) -> Figure:
    """Draw regions as a mosaic with the boundary and samples on it, two panels in a row."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(3.2 * columns, 3.3 * rows)
    for axes, panel in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=True):
        _mosaic(axes, panel.polygons, panel.values, 0.6 if panel.folds is None else 0)
        if panel.folds is not None:
            segments(axes, panel.folds, _FOLDS, 0.5)
        segments(axes, panel.segments, _BOUNDARY, 2.2, cap="round")
        for label, (colour, cap) in enumerate(_CLASSES):
            dots(axes, panel.points[panel.labels == label], colour, cap=cap)
        _plane(axes, panel.polygons)
        axes.set_title(panel.title)
    return figure


class _Segments(Protocol):
    """A decision boundary in the plane."""

    @property
    def segments(self) -> Floats: ...
    @property
    def classes(self) -> Indices: ...
    @property
    def tied(self) -> Sequence[Floats]: ...


class _Regions(Protocol):
    """Linear regions in the plane."""

    @property
    def polygons(self) -> Sequence[Floats]: ...


@house_style()
def boundary(
    found: _Segments,
    regions: _Regions | None = None,
    points: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Draw the decision boundary of a network of two inputs, up to six pairs of classes apart.

    Parameters
    ----------
    found : DecisionBoundary
        As :func:`localbook.tropical.decision_boundary` returns it.
    regions : LinearRegions, optional
        As :func:`localbook.tropical.linear_regions` returns them; their sides are drawn thin.
    points : mapping of name to array_like, shape (N, 2), optional
        Samples, such as those of each class.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    """
    kinds = {
        f"class {pair[0]} or {pair[1]}": (found.classes == pair).all(axis=1)
        for pair in np.unique(found.classes, axis=0)
    }
    if len(kinds) > _KINDS:
        kinds = {"boundary": np.ones(len(found.classes), dtype=bool)}
    samples = {name: np.asarray(p, dtype=float) for name, p in (points or {}).items()}
    sides = regions.polygons if regions else ()
    shown = [*found.segments, *found.tied, *samples.values(), *sides]
    if not any(len(part) for part in shown):
        raise ConfigError(
            "there is no boundary in this box, and nothing else to draw: take a larger box, or "
            "give the regions as well."
        )
    look = looks([*kinds, *samples])
    figure = new_figure(5.4, 4.9)
    axes = figure.subplots()
    if sides:
        axes.add_patch(PathPatch(closed(sides), fill=False, ec=_FOLDS, lw=0.4, alpha=0.5))
    for name, chosen in kinds.items():
        segments(axes, found.segments[chosen], look[name].colour, 2.2, look[name].line, name)
    for area in found.tied:
        polygon(axes, area, _BOUNDARY)
    for name, sample in samples.items():
        axes.plot(*sample.T, look[name].marker, color=look[name].colour, markersize=3, label=name)
    _plane(axes, [np.vstack([np.reshape(part, (-1, 2)) for part in shown])])
    legend_below(figure)
    return figure


@house_style()
def class_map(
    polygons: Sequence[Floats],
    boundary: Floats,
    names: Mapping[str, tuple[float, float]],
    marks: Mapping[str, tuple[float, float]],
) -> Figure:
    """Draw the boundaries between classes on the folds of a network.

    Parameters
    ----------
    polygons : sequence of float arrays, shape (k, 2)
        The linear regions; only their sides are drawn.
    boundary : float array, shape (m, 2, 2)
    names : mapping of a class's name to the place where it is written
    marks : mapping of a point's name to the point
    """
    figure = new_figure(6.0, 5.4)
    axes = figure.subplots()
    axes.add_patch(
        PathPatch(closed(polygons), fill=False, edgecolor=_FOLDS, linewidth=0.4, alpha=0.5)
    )
    segments(axes, boundary, PALETTE["blue"], cap="round")
    for name, (x, y) in names.items():
        axes.text(x, y, name, fontsize=15, weight="bold", ha="center", va="center")
    for name, (x, y) in marks.items():
        axes.plot(x, y, "o", color=PALETTE["vermilion"])
        axes.annotate(name, (x, y), (6, 6), textcoords="offset points", color=PALETTE["vermilion"])
    _plane(axes, polygons, ("$u$", "$v$"))
    return figure


def _mosaic(axes: Axes, polygons: Sequence[Floats], values: Floats, sides: float) -> None:
    """Fill the polygons; all of one shade are one path, which keeps the drawing small."""
    shade = np.ceil(np.abs(values) * _SHADES).clip(1, _SHADES).astype(int)
    for sign, (colour, _) in zip((1, -1), _CLASSES, strict=True):
        for level in range(1, _SHADES + 1):
            chosen = np.flatnonzero((shade == level) & ((values >= 0) == (sign > 0)))
            if len(chosen):
                axes.add_patch(
                    PathPatch(
                        closed([polygons[k] for k in chosen.tolist()]),
                        facecolor=(colour, 0.1 * level),
                        edgecolor=(colour, sides),
                        linewidth=0.35,
                    )
                )


def _plane(axes: Axes, polygons: Sequence[Floats], names: tuple[str, str] = INPUTS) -> None:
    """Fit the axes to the polygons, with equal units."""
    corners = np.concatenate(list(polygons))
    (left, low), (right, high) = corners.min(axis=0), corners.max(axis=0)
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.set(xlabel=names[0], ylabel=names[1])
