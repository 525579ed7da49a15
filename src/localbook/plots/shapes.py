"""Segments, polygons and dots, each set as one path, which keeps a page small."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from localbook.arrays import Floats

Cap = Literal["butt", "round", "projecting"]

INPUTS = ("$x_1$", "$x_2$")
EXPONENTS = ("first exponent", "second exponent")


def segments(
    axes: Axes,
    ends: Floats,
    colour: str,
    width: float = 1.8,
    line: str = "-",
    label: str = "",
    cap: Cap = "butt",
) -> None:
    """Draw segments (m, 2, 2)."""
    path = Path(np.reshape(ends, (-1, 2)), np.tile([Path.MOVETO, Path.LINETO], len(ends)))
    path.should_simplify = False
    axes.add_patch(
        PathPatch(path, fill=False, ec=colour, lw=width, ls=line, capstyle=cap, zorder=2)
    )
    if label:  # a patch would stand in the legend as a box
        axes.plot([], [], color=colour, linewidth=width, linestyle=line, label=label)


def dots(axes: Axes, points: Floats, colour: str, width: float = 2.6, cap: Cap = "round") -> None:
    """Draw points (N, 2) as the caps of segments of no length, a fifth of the size of markers."""
    segments(axes, np.stack([points, points], axis=1), colour, width, cap=cap)


def polygon(axes: Axes, corners: Floats, colour: str, label: str = "", width: float = 1.2) -> None:
    """Fill a polygon (k, 2)."""
    axes.fill(*corners.T, fc=(colour, 0.3), ec=colour, lw=width, label=label or None)


def outline(axes: Axes, corners: Floats, colour: str, line: str = "--", label: str = "") -> None:
    """Draw the sides of a polygon (k, 2)."""
    round_trip = np.vstack([corners, corners[:1]])
    axes.plot(*round_trip.T, line, color=colour, linewidth=1.2, label=label or None)


def closed(polygons: Sequence[Floats]) -> Path:
    """Return polygons as one path."""
    codes = [[Path.MOVETO, *[Path.LINETO] * (len(p) - 1), Path.CLOSEPOLY] for p in polygons]
    return Path(np.concatenate([np.vstack([p, p[:1]]) for p in polygons]), np.concatenate(codes))


def square(axes: Axes, points: Floats, margin: float = 0.1) -> float:
    """Show a square around points (N, 2), and return half its side."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = (1 + margin) * float((high - low).max()) / 2
    x, y = (low + high) / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half), aspect="equal")
    return half


def label_axes(axes: Axes, title: str, labels: tuple[str, str]) -> None:
    """Write a title and what the axes are."""
    axes.set(title=title, xlabel=labels[0], ylabel=labels[1])


def legend_below(figure: Figure, ncols: int = 3) -> None:
    """Put one legend for all panels below them, in which each label stands once."""
    entries: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center",
        ncols=min(ncols, len(entries)), fontsize=9,
    )  # fmt: skip
