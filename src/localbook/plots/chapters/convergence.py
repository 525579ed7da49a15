"""When local learning converges: paths in a plane of two weights, and their losses."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.shapes import label_axes
from localbook.plots.style import FOREGROUND, Look, house_style, looks

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
    u = np.linspace(1 / top[0], 1.5 * start[0], 100)
    plane.plot(u, 1 / u, color=FOREGROUND, linewidth=0.8, linestyle=":")
    high = (1.6 / top[0], top[0] / 1.6)  # a point of the curve far from the start
    plane.annotate("$F = 0$", high, xytext=(5, 3), textcoords="offset points")
    plane.annotate("start", start, xytext=(6, -13), textcoords="offset points")
    names = looks([*paths, *losses])
    for name, path in paths.items():
        _line(plane, names[name], path[path[:, 1] <= top[0]])
    plane.plot(*start, "o", markersize=8, fillstyle="none", color=FOREGROUND)
    plane.set(xlim=(0, u[-1]), ylim=(-0.15 * top[0], top[0]))
    label_axes(plane, "", ("weight $u$ of module 1", "weight $v$ of module 2"))
    for name, loss in losses.items():
        _line(over_time, names[name], np.column_stack([step * np.arange(len(loss)), loss]))
    over_time.set_ylim(0, top[1])
    label_axes(over_time, "", ("time (steps times step size)", "last loss $F$"))
    over_time.legend()
    return figure


def _line(axes: Axes, look: Look, points: Floats) -> None:
    """Draw the first point of a long path, the last, and some in between."""
    keep = np.unique(np.linspace(0, len(points) - 1, _DRAWN).round().astype(int))
    axes.plot(*points[keep].T, color=look.colour, linestyle=look.line, label=look.label)
