"""The three charts of measurements, and a row of images."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.plots.figure import new_figure
from localbook.plots.shapes import legend_below
from localbook.plots.style import FOREGROUND, PALETTE, Look, house_style, looks

Curves = Mapping[str, ArrayLike]

_FEW = 30  # places of a line that are marked; of more the line's style must do


@house_style()
def lines(
    curves: Curves | Mapping[str, Curves],
    x: ArrayLike | None = None,
    *,
    xlabel: str,
    ylabel: str | None = None,
    points: Collection[str] = (),
    baseline: float | None = None,
    margin: float = 0,
    **options: Any,
) -> Figure:
    """Draw a line for each name: the mean of the seeds, and their range as a band.

    Parameters
    ----------
    curves : mapping of name to array_like, shape (n,) or (seeds, n)
        A curve with places of its own is a tuple of them and the values. Or a mapping of titles to
        such mappings: a panel for each. A name of ``LOOKS`` looks as it does everywhere.
    x : array_like, shape (n,), optional
        The places of all curves that have none of their own; 1, ..., n by default.
    xlabel : str
    ylabel : str, optional
        Of all panels, which share this axis then; without it each panel's axis has its own title.
    points : collection of str
        The names that are drawn as points without a line.
    baseline, margin : float
        A line across the panels, and around it the band within which differences do not matter.
    **options
        Of all panels' :meth:`matplotlib.axes.Axes.set`, such as ``xscale="log"``, ``xticks=[1, 2]``
        (no others are marked then) or ``ylim=(0, None)``.

    Raises
    ------
    ConfigError
        If there is nothing to draw, or a curve has not one value for each place.
    """
    panels = _panels(curves)
    names = looks(name for panel in panels.values() for name in panel)
    columns = min(len(panels), 2 if len(panels) == 4 else 3)
    rows = -(-len(panels) // columns)
    figure = new_figure(7.2 if columns > 2 else 6.4, 0.8 + 0.2 * -(-len(names) // 3) + 2.6 * rows)
    share = ylabel is not None
    grid = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (title, panel) in zip(grid.flat, panels.items(), strict=False):
        for name, curve in panel.items():
            _curve(axes, names[name], *_places(name, curve, x), joined=name not in points)
        _reference(axes.axhline, axes.axhspan, baseline, margin)
        axes.set(xlabel=xlabel, **({"title": title} if share else {"ylabel": title}))
        axes.tick_params(labelbottom=True)  # below it may be no panel
    for axes in grid[:, 0] if share else ():
        axes.set_ylabel(ylabel)
    for axes in grid.flat[: len(panels)]:  # now that every panel has had its say on shared limits
        _set(axes, options)
    legend_below(figure)
    return figure


def _panels(given: Curves | Mapping[str, Curves]) -> dict[str, Curves]:
    """Return curves by panel, or refuse to draw nothing."""
    inner = {title: panel for title, panel in given.items() if isinstance(panel, Mapping)}
    panels: dict[str, Curves] = inner or {"": given}  # type: ignore[dict-item]
    if not all(panels.values()) or 0 < len(inner) < len(given):
        raise ConfigError("there is nothing to draw; give names, or panels of one name or more.")
    return panels


def _places(name: str, curve: ArrayLike, x: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return where a curve's values stand, shape (n,), and the values, shape (seeds, n)."""
    if isinstance(curve, tuple):
        x, curve = curve
    values = np.atleast_2d(np.asarray(curve, dtype=float))
    place = np.arange(1.0, 1 + values.shape[1]) if x is None else np.asarray(x, dtype=float)
    if values.ndim != 2 or place.shape != values.shape[1:]:
        raise ConfigError(
            f"the curve {name!r} has values of shape {values.shape} for places of shape "
            f"{place.shape}; give one value, or one for each seed, for each place."
        )
    return place, values


def _curve(axes: Axes, look: Look, place: Floats, values: Floats, *, joined: bool) -> None:
    if len(values) > 1 and joined:
        low, high = values.min(0), values.max(0)
        axes.fill_between(place, low, high, color=look.colour, alpha=0.15, linewidth=0)
    axes.plot(
        np.tile(place, 1 if joined else len(values)),
        values.mean(0) if joined else values.ravel(),
        color=look.colour,
        linestyle=look.line if joined else "",
        marker="" if joined and len(place) > _FEW else look.marker,
        markersize=5.5 if joined else 7,
        label=look.label,
    )
    if not (place % 1).any():
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def _reference(line: Any, span: Any, baseline: float | None, margin: float) -> None:
    """Draw what values are compared with, and around it what is no difference worth the name."""
    if baseline is not None:
        line(baseline, color=FOREGROUND, linewidth=0.9, linestyle="--")
        if margin:
            span(baseline - margin, baseline + margin, color=PALETTE["ochre"], alpha=0.2, lw=0)


def _set(axes: Axes, options: Mapping[str, Any]) -> None:
    axes.set(**options)
    for axis in (axes.xaxis, axes.yaxis):
        ticks = options.get(f"{axis.axis_name}ticks", ())
        if len(ticks):
            axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.set_ticks([], minor=True)


@house_style()
def seeds(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    baseline: float | None = None,
    margin: float = 0,
    **options: Any,
) -> Figure:
    """Draw every seed as a point: a row for each name, a panel for each measure.

    An upright line marks the mean. For paired differences give their ``intervals``, the
    ``baseline`` 0, and the ``margin`` below which a difference does not matter.

    Parameters
    ----------
    panels : mapping of measure to mapping of name to sequence of float
        One value for each seed; a name without values leaves its place empty.
    intervals : mapping of measure to mapping of name to (float, float), optional
        Where a measure's confidence interval begins and ends; drawn as whiskers.
    baseline, margin, **options
        As those of :func:`lines`, across the rows.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    """
    figure, grid, names = _rows(panels)
    for axes, (measure, rows) in zip(grid, panels.items(), strict=True):
        _reference(axes.axvline, axes.axvspan, baseline, margin)
        for place, (name, look) in enumerate(names.items()):
            values = rows.get(name, ())
            if len(values):
                axes.plot(values, [place] * len(values), look.marker, color=look.colour, alpha=0.6)
                axes.vlines(np.mean(values), place - 0.3, place + 0.3, color=FOREGROUND)
            low, high = (intervals or {}).get(measure, {}).get(name, (np.nan, np.nan))
            axes.plot([low, high], [place, place], "|-", color=FOREGROUND, linewidth=1)
        axes.grid(axis="y", alpha=0.3)
        _set(axes, options)
    return figure


@house_style()
def ratios(panels: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Draw what each name needs beside what is compared with: a bar a name, a panel a measure.

    Parameters
    ----------
    panels : mapping of measure to mapping of name to ratio
        A ratio that could not be taken is None and leaves its place empty.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    """
    figure, grid, names = _rows(panels)
    for axes, rows in zip(grid, panels.values(), strict=True):
        known = {name: ratio for name, ratio in rows.items() if ratio is not None}
        # A column of numbers on the right, clear of the bars and of the line at 1.
        right = 1.4 * max([1, *known.values()])
        axes.set_xlim(0, right)
        for place, (name, look) in enumerate(names.items()):
            if name in known:
                axes.barh(place, known[name], color=look.colour, alpha=0.8)
                axes.text(right, place, f"{known[name]:.2f} ", ha="right", va="center", fontsize=8)
        _reference(axes.axvline, axes.axvspan, 1, 0)
    return figure


def _rows(panels: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, list[Axes], dict[str, Look]]:
    """Return a figure with a panel for each measure, all with the same rows from top to bottom."""
    names = looks(name for rows in panels.values() for name in rows)
    if not names:
        raise ConfigError("there is nothing to draw; give at least one measure and one name.")
    figure = new_figure(7.2 if len(panels) > 2 else 6.4, 0.9 + 0.3 * len(names))
    grid = list(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0])
    for axes, measure in zip(grid, panels, strict=True):
        axes.set_xlabel(measure)
    grid[0].set_yticks(range(len(names)), [look.label for look in names.values()])
    grid[0].set_ylim(len(names) - 0.4, -0.6)
    return figure, grid, names


@house_style()
def image_grid(images: NDArray[np.uint8], titles: Sequence[str]) -> Figure:
    """Draw images (N, C, H, W), C = 1 or 3, in one row, each below its title."""
    figure = new_figure(6.4, 1.1)
    grid = figure.subplots(1, len(images), squeeze=False)[0]
    for axes, image, title in zip(grid, images, titles, strict=True):
        axes.imshow(image.transpose(1, 2, 0), cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return figure
