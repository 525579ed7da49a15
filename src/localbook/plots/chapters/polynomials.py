"""Tropical polynomials: graphs, and hypersurfaces beside their dual subdivisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.shapes import EXPONENTS, INPUTS, label_axes, segments
from localbook.plots.style import PALETTE, house_style

_COLOURS = [PALETTE[name] for name in ("blue", "vermilion", "green", "purple", "ochre")]


@dataclass(frozen=True)
class DualPanel:
    """One column of :func:`curves_and_duals`.

    Attributes
    ----------
    title : str
    segments, edges : float arrays, shape (m, 2, 2)
        The pieces of a planar hypersurface and, row by row, the edges that they are dual to.
    used, unused : float arrays, shape (k, 2)
        The exponents that are corners of the subdivision, and the others.
    names : mapping of str to two places
        Texts to write at a place among the inputs and at one among the exponents.
    """

    title: str
    segments: Floats
    edges: Floats
    used: Floats
    unused: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    names: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)


@house_style()
def curves_and_duals(panels: Sequence[DualPanel]) -> Figure:
    """Draw planar hypersurfaces, and below each its dual subdivision; beside it if there is one.

    An edge has the colour of the pieces that it is dual to; edges of one direction share a colour.
    """
    if len(panels) == 1:
        figure = new_figure(6.4, 3.1)
        rows = figure.subplots(1, 2, squeeze=False).T
    else:
        figure = new_figure(max(6.4, 2.15 * len(panels)), 4.9)
        rows = figure.subplots(2, len(panels), squeeze=False)
    for upper, lower, panel in zip(*rows, panels, strict=True):
        _edges(upper, panel.segments, panel.edges)
        _edges(lower, panel.edges, panel.edges)
        lower.plot(*panel.used.T, "o", color=_COLOURS[0], markersize=5)
        lower.plot(*panel.unused.T, "o", color=_COLOURS[4], markersize=6, fillstyle="none")
        for text, (place, exponent) in panel.names.items():
            upper.text(*place, text, ha="center", va="center", fontsize=9)
            lower.annotate(text, tuple(exponent), (5, 5), textcoords="offset points", fontsize=9)
        _finish(upper, panel.title, INPUTS)
        _finish(lower, "its dual", EXPONENTS)
        lower.locator_params(nbins=4)
    return figure


@house_style()
def subdivisions(
    panels: Mapping[str, Floats], names: Mapping[str, tuple[Floats, tuple[float, float]]]
) -> Figure:
    """Draw subdivisions of the same points side by side.

    Parameters
    ----------
    panels : mapping of str to float array, shape (m, 2, 2)
        For each title the edges.
    names : mapping of str to a float array, shape (2,), and two floats
        Each point by its name, and how many points to the right and up the name stands.
    """
    figure = new_figure(6.4, 3.3)
    for axes, (title, edges) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        _edges(axes, edges, edges)
        axes.plot(*np.array([place for place, _ in names.values()]).T, "o", color=_COLOURS[0])
        for text, (place, offset) in names.items():
            axes.annotate(
                text, tuple(place), offset, textcoords="offset points", ha="center", va="center"
            )
        _finish(axes, title, EXPONENTS)
    return figure


@house_style()
def graph_and_lift(
    x: Floats, monomials: Mapping[str, Floats], roots: Floats, lifted: Floats, roof: Floats
) -> Figure:
    """Draw a tropical polynomial in one variable, and the roof over its exponents.

    Parameters
    ----------
    x : float array, shape (N,)
    monomials : mapping of str to float array, shape (N,)
        The values at x of each monomial, by its name; their maximum is drawn thick.
    roots : float array, shape (r, 2)
        The corners of the graph.
    lifted : float array, shape (m, 2)
        The points (exponent, coefficient).
    roof : float array, shape (k, 2)
        The corners of their upper hull, from left to right.
    """
    figure = new_figure(6.4, 3.2)
    left, right = figure.subplots(1, 2)
    top = np.max(list(monomials.values()), axis=0)
    left.plot(x, top, color=_COLOURS[0], linewidth=3.2, alpha=0.45, label="maximum")
    for (name, values), colour in zip(monomials.items(), cycle(_COLOURS[1:]), strict=False):
        left.plot(x, values, color=colour, linestyle="--", linewidth=1.1, label=name)
    left.plot(*roots.T, "o", color=_COLOURS[0])
    margin = 0.08 * np.ptp(top)
    left.set_ylim(top.min() - 4 * margin, top.max() + margin)
    label_axes(left, "the function", ("$x$", "value"))
    left.legend()
    floor = lifted[:, 1].min() - 0.3 * max(1.0, float(np.ptp(lifted[:, 1])))
    right.vlines(roof[:, 0], floor, roof[:, 1], color=_COLOURS[0], linestyle=":", linewidth=1)
    right.plot(*roof.T, color=_COLOURS[0], linewidth=2.2)
    right.plot(*lifted.T, "o", color=_COLOURS[4], fillstyle="none", markersize=6)
    right.plot(*roof.T, "o", color=_COLOURS[0])
    right.plot(roof[:, 0], np.full(len(roof), floor), "|-", color=_COLOURS[1], markersize=11)
    label_axes(right, "its monomials", ("exponent", "coefficient"))
    return figure


def _edges(axes: Axes, pieces: Floats, edges: Floats) -> None:
    """Draw pieces in the colours of their edges: one for each fifth of the half circle."""
    run = edges[:, 1] - edges[:, 0]
    fifths = np.floor(np.arctan2(run[:, 1], run[:, 0]) / np.pi * 5 + 0.6).astype(int) % 5
    for k, name in enumerate(("blue", "purple", "ochre", "vermilion", "green")):
        segments(axes, pieces[fifths == k], PALETTE[name], 2, cap="round")


def _finish(axes: Axes, title: str, labels: tuple[str, str]) -> None:
    axes.margins(0.1)
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    label_axes(axes, title, labels)
