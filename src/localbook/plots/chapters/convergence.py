"""Pictures of when local learning converges: paths in a plane of two weights, losses and bounds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, METHOD, PALETTE, Look, house_style

Values = NDArray[np.float64]

_DRAWN = 250  # points of a path that the page keeps


@house_style()
def paths_and_losses(
    paths: Mapping[str, Values],
    losses: Mapping[str, Values],
    *,
    step: float,
    top: tuple[float, float],
) -> Figure:
    """Draw the paths of two weights u, v, and beside them the last loss over time.

    The curve uv = 1, where the last loss vanishes, is drawn with the paths; a ring marks where they
    start.

    Parameters
    ----------
    paths : mapping of method to float array, shape (T, 2)
    losses : mapping of method to float array, shape (T,)
    step : float
        The time from one point of a path to the next.
    top : (float, float)
        The largest v and the largest loss shown.
    """
    figure = new_figure(7.2, 3.4)
    plane, over_time = figure.subplots(1, 2)
    start = next(iter(paths.values()))[0]
    u = np.linspace(1 / top[0], 1.15 * start[0], 100)
    plane.plot(u, 1 / u, color=FOREGROUND, linewidth=0.8, linestyle=":")
    plane.annotate("$F = 0$", (u[-1], 1 / u[-1]), xytext=(-4, -14), textcoords="offset points",
                   ha="right")  # fmt: skip
    for name, path in paths.items():
        inside = path[path[:, 1] <= top[0]]
        _line(plane, METHOD[name], *_thin(inside).T)
    plane.plot(*start, "o", markersize=8, fillstyle="none", color=FOREGROUND)
    plane.set_xlim(0, u[-1])
    plane.set_ylim(-0.15 * top[0], top[0])
    plane.set_xlabel("weight $u$ of module 1")
    plane.set_ylabel("weight $v$ of module 2")
    for name, loss in losses.items():
        time = step * np.arange(len(loss))
        _line(over_time, METHOD[name], *_thin(np.column_stack([time, loss])).T)
    over_time.set_ylim(0, top[1])
    over_time.set_xlabel("time (steps times step size)")
    over_time.set_ylabel("last loss $F$")
    over_time.legend()
    return figure


@house_style()
def final_losses(
    found: tuple[Sequence[float], Values], predicted: tuple[Values, Values], threshold: float
) -> Figure:
    """Draw the last loss in the limit against λ, found and predicted, on logarithmic axes.

    Parameters
    ----------
    found, predicted : (weights, losses)
        The first as points, the second as a line.
    threshold : float
        A value of λ, marked by a vertical line.
    """
    figure = new_figure(6.4, 3.4)
    axes = figure.subplots()
    axes.axvline(threshold, color=FOREGROUND, linewidth=0.8, linestyle=":")
    label = rf"$\lambda = {threshold:g}$"
    axes.annotate(label, (threshold, 0.02), xycoords=("data", "axes fraction"), xytext=(-4, 2),
                  textcoords="offset points", ha="right")  # fmt: skip
    axes.plot(*predicted, color=PALETTE["green"], linestyle="-", label="theorem")
    axes.plot(*found, linestyle="", marker="o", color=PALETTE["vermilion"], label="simulated")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(r"$\lambda$")
    axes.set_ylabel("last loss $F$ in the limit")
    axes.legend()
    return figure


@house_style()
def losses_and_bounds(curves: Mapping[str, tuple[Values, Values]]) -> Figure:
    """Draw for each method, in a panel of its own, the last loss over the steps under its bound.

    Parameters
    ----------
    curves : mapping of method to (losses, bounds), each of shape (T,)
    """
    figure = new_figure(7.2, 3.0)
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (name, (loss, bound)) in zip(panels, curves.items(), strict=True):
        look = METHOD[name]
        axes.plot(bound, color=FOREGROUND, linewidth=1.0, linestyle=":", label="bound")
        axes.plot(loss, color=look.colour, linestyle=look.line, label="last loss")
        axes.set_title(look.label)
        axes.set_xlabel("step")
        axes.legend()
    panels[0].set_ylabel("last loss and its bound")
    panels[0].set_ylim(bottom=0)
    return figure


def _line(axes: Axes, look: Look, x: Values, y: Values) -> None:
    axes.plot(x, y, color=look.colour, linestyle=look.line, label=look.label)


def _thin(points: Values) -> Values:
    """Keep the first point, the last, and some in between."""
    keep = np.unique(np.linspace(0, len(points) - 1, _DRAWN).round().astype(int))
    kept: Values = points[keep]
    return kept
