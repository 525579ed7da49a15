"""Pictures of what changes when one thing is changed: a weight, or a part."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from localbook.arrays import Floats
from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, PALETTE, house_style

Panels = Mapping[str, Mapping[str, Sequence[float]]]


@house_style()
def against_weight(
    panels: Mapping[str, Mapping[float, Sequence[float]]],
    baselines: Mapping[str, Sequence[float]],
    baseline: str,
    xlabel: str = "λ",
) -> Figure:
    """Draw measures against a weight, every seed as a point and the mean as a line.

    Parameters
    ----------
    panels : mapping of measure to mapping of weight to values, one for each seed
        Weights are positive; their axis is logarithmic.
    baselines : mapping of measure to values, one for each seed
        Without the weight: a line for the mean and a band for the range.
    baseline : str
        What the legend calls it.
    xlabel : str
    """
    figure = new_figure(6.4, 3.2)
    for axes, (measure, by_weight) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        weights = sorted(by_weight)
        for weight in weights:
            values = by_weight[weight]
            axes.plot([weight] * len(values), values, "o", color=PALETTE["green"], alpha=0.5)
        means = [np.mean(by_weight[weight]) for weight in weights]
        axes.plot(weights, means, color=PALETTE["green"], label="SGR, mean of seeds")
        base = baselines[measure]
        axes.axhspan(min(base), max(base), color=PALETTE["vermilion"], alpha=0.2, lw=0)
        axes.axhline(np.mean(base), color=PALETTE["vermilion"], ls="--", label=baseline)
        axes.set_xscale("log")
        axes.set_xlabel(xlabel)
        axes.set_ylabel(measure)
    figure.axes[0].legend()
    return figure


@house_style()
def seeds_by_variant(panels: Panels) -> Figure:
    """Draw every seed as a point and the mean as a bar, one variant a row, one measure a panel.

    Parameters
    ----------
    panels : mapping of measure to mapping of variant to values, one for each seed
        All panels with the same variants, drawn from top to bottom.
    """
    names = list(next(iter(panels.values())))
    figure = new_figure(6.4, 0.9 + 0.3 * len(names))
    every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (measure, variants) in zip(every, panels.items(), strict=True):
        for row, name in enumerate(names):
            values = variants[name]
            axes.plot(values, [row] * len(values), "o", color=PALETTE["blue"], alpha=0.6)
            axes.vlines(np.mean(values), row - 0.3, row + 0.3, color=FOREGROUND)
        axes.set_xlabel(measure)
        axes.grid(axis="y", alpha=0.3)
    every[0].set_yticks(range(len(names)), names)
    every[0].invert_yaxis()
    return figure


@house_style()
def contours(
    panels: Mapping[str, Floats], axis: Floats, target: tuple[float, float], labels: tuple[str, str]
) -> Figure:
    """Draw level lines of functions of two numbers, one a panel, with the point they aim at.

    Parameters
    ----------
    panels : mapping of title to float array, shape (n, n)
        Values; the second number varies along the first axis.
    axis : float array, shape (n,)
        Both numbers.
    target : two floats
        Drawn as an arrow from the origin.
    labels : two str
        Of the axes.
    """
    figure = new_figure(6.4, 2.6)
    for axes, (title, values) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        axes.contour(axis, axis, values, levels=9, colors=PALETTE["blue"], linewidths=1)
        axes.annotate(
            "", target, (0, 0), arrowprops={"arrowstyle": "-|>", "color": PALETTE["vermilion"]}
        )
        axes.set_title(title)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.set_aspect("equal")
    return figure


@house_style()
def errors_by_step(curves: Mapping[str, Sequence[float]], steps: Sequence[float]) -> Figure:
    """Draw relative errors of finite differences against their step, both logarithmic.

    Parameters
    ----------
    curves : mapping of label to errors, one for each step
    steps : sequence of float
    """
    figure = new_figure()
    axes = figure.subplots()
    looks = zip(PALETTE.values(), "os^Dv", ("-", "--", "-.", ":", "-"), strict=True)
    for (label, errors), (colour, marker, line) in zip(curves.items(), looks, strict=False):
        axes.plot(steps, errors, color=colour, marker=marker, linestyle=line, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("relative error")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
