"""A tropical hypersurface beside the polytope or subdivision that is dual to it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.shapes import (
    EXPONENTS,
    INPUTS,
    closed,
    label_axes,
    legend_below,
    polygon,
    segments,
)
from localbook.plots.style import PALETTE, house_style

_PLAIN = (PALETTE["blue"], 1.1, "--")
_STRONG = [(PALETTE[name], 2.4, "-") for name in ("vermilion", "green", "purple", "ochre")]


@house_style()
def hypersurfaces(panels: Mapping[str, Mapping[str, Floats]]) -> Figure:
    """Draw planar hypersurfaces side by side, each in parts.

    Parameters
    ----------
    panels : mapping of str to mapping of str to float array, shape (m, 2, 2)
        For each title the segments of every labelled part; the first part is drawn thin and
        dashed, the others thick. All panels have the same parts.
    """
    figure = new_figure(6.4, 3.7)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, parts) in zip(grid, panels.items(), strict=True):
        _inputs(axes, title, parts)
    legend_below(figure)
    return figure


@house_style()
def hypersurface_and_dual(
    parts: Mapping[str, tuple[Floats, Floats]],
    zonotopes: Mapping[str, Floats] | None = None,
    areas: Sequence[Floats] = (),
    *,
    normals: bool = False,
) -> Figure:
    """Draw a planar hypersurface and, beside it, the edges that its pieces are dual to.

    Parameters
    ----------
    parts : mapping of str to two float arrays, shape (m, 2, 2)
        For each label segments of the hypersurface and, row by row, their dual edges. The first
        part is drawn thin and dashed, the others thick.
    zonotopes : mapping of str to float array, shape (k, 2), optional
        Labelled polygons to fill beside the hypersurface.
    areas : sequence of float array, shape (k, 2)
        Polygons of the plane of inputs in which two classes tie.
    normals : bool
        Whether to draw on each thick edge an arrow in the direction of its segment, which starts
        at the origin then.
    """
    figure = new_figure(6.4, 3.9)
    left, right = figure.subplots(1, 2)
    _inputs(left, "input space", {label: pieces for label, (pieces, _) in parts.items()}, areas)
    fills = zip(cycle((PALETTE["green"], PALETTE["purple"])), (zonotopes or {}).items())
    for colour, (label, corners) in fills:
        polygon(right, corners, colour, label)
    _parts(right, {label: edges for label, (_, edges) in parts.items()})
    if normals:
        _normals(right, list(parts.values())[1:])
    label_axes(right, "dual", EXPONENTS)
    legend_below(figure)
    return figure


def _inputs(
    axes: Axes, title: str, parts: Mapping[str, Floats], areas: Sequence[Floats] = ()
) -> None:
    if len(areas):
        fill = (PALETTE["ochre"], 0.45)
        axes.add_patch(PathPatch(closed(areas), fc=fill, ec="none", label="area of ties"))
    _parts(axes, parts)
    label_axes(axes, title, INPUTS)


def _parts(axes: Axes, parts: Mapping[str, Floats]) -> None:
    for (label, pieces), look in zip(parts.items(), chain([_PLAIN], cycle(_STRONG)), strict=False):
        segments(axes, pieces, *look, label, "butt" if look is _PLAIN else "round")
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")


def _normals(axes: Axes, parts: Iterable[tuple[Floats, Floats]]) -> None:
    """Draw arrows from the middles of edges in the directions of their segments."""
    pieces, edges = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    middles = pieces.mean(axis=1)
    arrows = 0.16 * np.ptp(axes.dataLim.get_points(), axis=0).max()
    arrows = arrows * middles / np.linalg.norm(middles, axis=1, keepdims=True)
    axes.quiver(
        *edges.mean(axis=1).T, *arrows.T, angles="xy", scale_units="xy", scale=1,
        color=_STRONG[0][0], width=0.008,
    )  # fmt: skip
    axes.update_datalim(edges.mean(axis=1) + arrows)
    axes.autoscale_view()
