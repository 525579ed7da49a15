"""Pictures of training: accuracy by module, curves over epochs, seeds side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, METHOD, house_style

Values = NDArray[np.float64]


@house_style()
def accuracy_by_module(accuracy: Mapping[str, Values]) -> Figure:
    """Draw each method's accuracy at every module: mean over seeds, and the range as a band.

    Parameters
    ----------
    accuracy : mapping of method to float array, shape (seeds, L)
    """
    figure = new_figure()
    axes = figure.subplots()
    _mean_and_range(axes, accuracy, markers=True)
    axes.set_xlabel("module")
    axes.set_ylabel("accuracy of its head")
    figure.legend(loc="outside lower center", ncols=len(accuracy))  # off the bands
    return figure


@house_style()
def over_epochs(curves: Mapping[str, Values], ylabel: str) -> Figure:
    """Draw one curve for each method over the epochs: mean over seeds, and the range as a band.

    Parameters
    ----------
    curves : mapping of method to float array, shape (seeds, epochs)
    ylabel : str
    """
    figure = new_figure()
    axes = figure.subplots()
    _mean_and_range(axes, curves, markers=False)
    axes.set_xlabel("epoch")
    axes.set_ylabel(ylabel)
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def _mean_and_range(axes: Axes, lines: Mapping[str, Values], *, markers: bool) -> None:
    """Draw each method's values (seeds, n) over 1, ..., n."""
    for method, values in lines.items():
        look = METHOD[method]
        place = np.arange(1, values.shape[1] + 1)
        axes.fill_between(place, values.min(0), values.max(0), color=look.colour, alpha=0.2)
        axes.plot(
            place,
            values.mean(0),
            color=look.colour,
            marker=look.marker if markers else "",
            linestyle=look.line,
            label=look.label,
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


@house_style()
def seeds_by_method(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw every seed as a point, methods side by side, one panel for each measure.

    Parameters
    ----------
    panels : mapping of axis label to mapping of method to values, one for each seed
    """
    figure = new_figure(6.4, 3.2)
    for axes, (label, methods) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for place, (method, values) in enumerate(methods.items()):
            look = METHOD[method]
            spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else [0.0]
            axes.plot(place + np.asarray(spread), values, look.marker, color=look.colour)
            axes.hlines(np.mean(values), place - 0.25, place + 0.25, color=FOREGROUND)
        axes.set_xticks(range(len(methods)), [METHOD[m].label for m in methods], rotation=20)
        axes.set_xlim(-0.5, len(methods) - 0.5)
        axes.set_ylabel(label)
    return figure
