"""A tropical hypersurface beside the polytope or subdivision that is dual to it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, cycle

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from localbook.plots.figure import new_figure
from localbook.plots.style import PALETTE, house_style

Array = NDArray[np.float64]

_PLAIN = (PALETTE["blue"], "--", 1.1)
_STRONG = [(PALETTE[name], "-", 2.4) for name in ("vermilion", "green", "purple", "ochre")]
_AREA = PALETTE["ochre"]


@house_style()
def hypersurfaces(panels: Mapping[str, Mapping[str, Array]], areas: Sequence[Array] = ()) -> Figure:
    """Draw planar hypersurfaces side by side, each in parts.

    Parameters
    ----------
    panels : mapping of str to mapping of str to ndarray (m, 2, 2)
        For each title the segments of every labelled part; the first part is drawn thin and
        dashed, the others thick. All panels have the same parts.
    areas : sequence of ndarray (k, 2)
        Polygons, drawn in each panel, in which two classes tie.
    """
    figure = new_figure(6.4, 3.7)
    for axes, (title, parts) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _areas(axes, areas)
        _lines(axes, parts)
        _finish(axes, title, ("$x_1$", "$x_2$"))
    _legend(figure)
    return figure


@house_style()
def hypersurface_and_dual(
    parts: Mapping[str, tuple[Array, Array]],
    zonotopes: Mapping[str, Array] | None = None,
    areas: Sequence[Array] = (),
    *,
    normals: bool = False,
) -> Figure:
    """Draw a planar hypersurface and, beside it, the edges that its pieces are dual to.

    Parameters
    ----------
    parts : mapping of str to two ndarrays (m, 2, 2)
        For each label segments of the hypersurface and, row by row, their dual edges. The first
        part is drawn thin and dashed, the others thick.
    zonotopes : mapping of str to ndarray (k, 2), optional
        Labelled polygons to fill beside the hypersurface.
    areas : sequence of ndarray (k, 2)
        Polygons of the plane of inputs in which two classes tie.
    normals : bool
        Whether to draw on each thick edge an arrow in the direction of its segment, which starts
        at the origin then.
    """
    figure = new_figure(6.4, 3.9)
    left, right = figure.subplots(1, 2)
    _areas(left, areas)
    _lines(left, {label: segments for label, (segments, _) in parts.items()})
    _finish(left, "input space", ("$x_1$", "$x_2$"))
    fills = zip(cycle((PALETTE["green"], PALETTE["purple"])), (zonotopes or {}).items())
    for colour, (label, corners) in fills:
        right.fill(*corners.T, facecolor=colour, alpha=0.25, edgecolor=colour, label=label)
    _lines(right, {label: edges for label, (_, edges) in parts.items()})
    if normals:
        _normals(right, list(parts.values())[1:])
    _finish(right, "dual", ("first exponent", "second exponent"))
    _legend(figure)
    return figure


def _lines(axes: Axes, parts: Mapping[str, Array]) -> None:
    looks = chain([_PLAIN], cycle(_STRONG))
    for (label, segments), (colour, line, width) in zip(parts.items(), looks, strict=False):
        axes.add_collection(
            LineCollection(
                list(segments), label=label, colors=colour, linestyles=line, linewidths=width,
                capstyle="round" if line == "-" else "butt",
            )
        )  # fmt: skip


def _areas(axes: Axes, areas: Sequence[Array]) -> None:
    if len(areas):
        axes.add_collection(
            PolyCollection(
                list(areas), label="area of ties", facecolors=_AREA, edgecolors="none", alpha=0.45
            )
        )


def _normals(axes: Axes, parts: Iterable[tuple[Array, Array]]) -> None:
    """Draw arrows from the middles of edges in the directions of their segments."""
    segments, edges = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    middles = segments.mean(axis=1)
    arrows = 0.16 * np.ptp(axes.dataLim.get_points(), axis=0).max()
    arrows = arrows * middles / np.linalg.norm(middles, axis=1, keepdims=True)
    axes.quiver(
        *edges.mean(axis=1).T, *arrows.T, angles="xy", scale_units="xy", scale=1,
        color=_STRONG[0][0], width=0.008,
    )  # fmt: skip
    axes.update_datalim(edges.mean(axis=1) + arrows)


def _finish(axes: Axes, title: str, labels: tuple[str, str]) -> None:
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(title)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])


def _legend(figure: Figure) -> None:
    """Put one legend for all panels below them."""
    entries: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=3)
