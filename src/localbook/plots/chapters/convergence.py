"""When local learning converges: paths in a plane of two weights, and their losses."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, LOOKS, Look, house_style

_DRAWN = 250  # points of a path that the page keeps


@house_style()
def paths_and_losses(
    paths: Mapping[str, Floats],
    losses: Mapping[str, Floats],
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
        _line(plane, LOOKS[name], *_thin(inside).T)
    plane.plot(*start, "o", markersize=8, fillstyle="none", color=FOREGROUND)
    plane.set_xlim(0, u[-1])
    plane.set_ylim(-0.15 * top[0], top[0])
    plane.set_xlabel("weight $u$ of module 1")
    plane.set_ylabel("weight $v$ of module 2")
    for name, loss in losses.items():
        time = step * np.arange(len(loss))
        _line(over_time, LOOKS[name], *_thin(np.column_stack([time, loss])).T)
    over_time.set_ylim(0, top[1])
    over_time.set_xlabel("time (steps times step size)")
    over_time.set_ylabel("last loss $F$")
    over_time.legend()
    return figure


def _line(axes: Axes, look: Look, x: Floats, y: Floats) -> None:
    axes.plot(x, y, color=look.colour, linestyle=look.line, label=look.label)


def _thin(points: Floats) -> Floats:
    """Keep the first point, the last, and some in between."""
    keep = np.unique(np.linspace(0, len(points) - 1, _DRAWN).round().astype(int))
    kept: Floats = points[keep]
    return kept
