"""Pictures of adversarial attacks: what moves, and how attacks compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, PALETTE, house_style

_POINT, _BOUNDARY = PALETTE["vermilion"], PALETTE["green"]
_BODIES = (PALETTE["blue"], PALETTE["ochre"])
_LOOKS = (
    (PALETTE["vermilion"], "o", "-"),
    (PALETTE["blue"], "s", "--"),
    (PALETTE["green"], "^", "-."),
)


@dataclass(frozen=True)
class AttackFrame:
    """How far an attack has come; what :func:`attack_panels` draws.

    Attributes
    ----------
    point, moved_point : float array, shape (2,)
        The input, and where the attack on the input has moved it.
    boundary, moved_boundary : float array, shape (m, 2, 2)
        Of the network, and of the network whose first layer the attack has changed.
    bodies : mapping of str to float array, shape (k, 2)
        The corners of two labelled polygons dual to the changed network.
    touching : mapping of the same labels to float array, shape (2,)
        The point of each that is furthest in the input's direction.
    """

    point: Floats
    moved_point: Floats
    boundary: Floats
    moved_boundary: Floats
    bodies: Mapping[str, Floats]
    touching: Mapping[str, Floats]


@house_style()
def attack_panels(frame: AttackFrame, dual: tuple[float, float, float, float]) -> Figure:
    """Draw an attack on the input, the same attack on the weights, and the polygons that it moves.

    Parameters
    ----------
    frame : AttackFrame
    dual : (x0, x1, y0, y1)
        The part of the dual plane to be shown, the same for all frames of a slider.
    """
    figure = new_figure(7.6, 3.2)
    left, middle, right = figure.subplots(1, 3)
    _inputs(left, "attack on the input", frame.boundary, frame.point, frame.moved_point)
    _inputs(middle, "attack on the weights", frame.moved_boundary, frame.point, frame.point)
    middle.add_collection(
        LineCollection(list(frame.boundary), colors=_BOUNDARY, linestyles=":", linewidths=1.1)
    )
    _dual(right, frame, dual)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _inputs(axes: Axes, title: str, boundary: Floats, start: Floats, end: Floats) -> None:
    axes.add_collection(LineCollection(list(boundary), colors=_BOUNDARY, linewidths=2.2))
    axes.plot(*np.stack([start, end], axis=1), color=_POINT, linewidth=1.2)
    axes.plot(*start, "o", color=_POINT, markerfacecolor="none")
    axes.plot(*end, "o", color=_POINT)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title, xlabel="$x_1$", ylabel="$x_2$")


def _dual(axes: Axes, frame: AttackFrame, limits: tuple[float, float, float, float]) -> None:
    x0, x1, y0, y1 = limits
    across = np.array([-frame.point[1], frame.point[0]]) * (x1 - x0 + y1 - y0)
    for (label, corners), colour, line in zip(
        frame.bodies.items(), _BODIES, ("--", "-."), strict=True
    ):
        axes.fill(*corners.T, facecolor=(colour, 0.25), edgecolor=colour, linewidth=1.2)
        touch = frame.touching[label]
        axes.plot(*np.stack([touch - across, touch + across], axis=1), line, color=colour)
        axes.plot(*touch, "o", color=colour, label=label)
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal", title="dual")
    axes.set(xlabel="first exponent", ylabel="second exponent")


@house_style()
def success_by_bound(
    bounds: Sequence[float], curves: Mapping[str, Sequence[float]], xlabel: str
) -> Figure:
    """Draw how often each attack succeeds under one bound after another.

    Parameters
    ----------
    bounds : sequence of float
        Above 0; drawn on a logarithmic axis.
    curves : mapping of str to sequence of float
        Up to three labelled shares of images, one for each bound.
    xlabel : str
    """
    figure = new_figure()
    axes = figure.subplots()
    for (label, values), (colour, marker, line) in zip(curves.items(), _LOOKS, strict=False):
        axes.plot(bounds, values, line, marker=marker, color=colour, label=label)
    axes.set(xscale="log", ylim=(0, None), xlabel=xlabel, ylabel="share of images that are fooled")
    axes.legend()
    return figure


@house_style()
def seeds_by_name(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw every seed as a point, one row for each name and one panel for each measure.

    Parameters
    ----------
    panels : mapping of axis label to mapping of name to values
        The same names in each panel; an axis starts at 0.
    """
    figure = new_figure(7.0, 3.0)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (label, rows) in zip(all_axes, panels.items(), strict=True):
        for place, values in enumerate(rows.values()):
            colour, marker, _ = _LOOKS[place % len(_LOOKS)]
            axes.plot(values, np.full(len(values), place), marker, color=colour)
            axes.vlines(np.mean(values), place - 0.3, place + 0.3, color=FOREGROUND)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_xlim(left=0)
        axes.set_xlabel(label)
    all_axes[0].invert_yaxis()
    all_axes[0].set_ylabel("attack")
    return figure
