"""What moves in an adversarial attack: on the input, on the weights, and in the dual."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.shapes import EXPONENTS, INPUTS, label_axes, polygon, segments
from localbook.plots.style import PALETTE, house_style

_POINT, _BOUNDARY = PALETTE["vermilion"], PALETTE["green"]
_BODIES = (PALETTE["blue"], PALETTE["ochre"])


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
    segments(middle, frame.boundary, _BOUNDARY, 1.1, ":")
    _dual(right, frame, dual)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _inputs(axes: Axes, title: str, boundary: Floats, start: Floats, end: Floats) -> None:
    segments(axes, boundary, _BOUNDARY, 2.2)
    axes.plot(*np.stack([start, end], axis=1), color=_POINT, linewidth=1.2)
    axes.plot(*start, "o", color=_POINT, markerfacecolor="none")
    axes.plot(*end, "o", color=_POINT)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    label_axes(axes, title, INPUTS)


def _dual(axes: Axes, frame: AttackFrame, limits: tuple[float, float, float, float]) -> None:
    x0, x1, y0, y1 = limits
    across = np.array([-frame.point[1], frame.point[0]]) * (x1 - x0 + y1 - y0)
    for (label, corners), colour, line in zip(
        frame.bodies.items(), _BODIES, ("--", "-."), strict=True
    ):
        polygon(axes, corners, colour)
        touch = frame.touching[label]
        axes.plot(*np.stack([touch - across, touch + across], axis=1), line, color=colour)
        axes.plot(*touch, "o", color=colour, label=label)
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
    label_axes(axes, "dual", EXPONENTS)
