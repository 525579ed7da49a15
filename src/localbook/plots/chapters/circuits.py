"""Neural circuit diagrams: a line for each axis, a ribbon for each array, from top to bottom."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, PALETTE, house_style

if TYPE_CHECKING:
    from localbook.circuits import Circuit, Step, Wire

# In inches: from line to line and from ribbon to ribbon, a row, half a box, a letter.
_LINE, _GAP, _ROW, _HALF, _LETTER = 0.21, 0.24, 0.55, 0.1, 0.07
_COLOURS = [PALETTE[name] for name in ("blue", "vermilion", "green", "purple", "ochre")]
_ONE_BY_ONE = ("relu", "gelu", "tanh", "scale")  # these act on no axis

Ribbon = list[float]  # where its lines are
Ribbons = list[Ribbon]
Point = tuple[float, float]


@dataclass(frozen=True)
class CircuitPanel:
    """One panel of :func:`circuits`.

    Attributes
    ----------
    circuit : Circuit
    kept : collection of Wire
        Their ribbons are coloured.
    cuts : collection of int
        Levels that are marked.
    """

    circuit: "Circuit"
    kept: Collection["Wire"] = ()
    cuts: Collection[int] = ()


@house_style()
def circuits(
    panels: Mapping[str, CircuitPanel], *, axes: bool = True, size: tuple[float, float] = (0, 0)
) -> Figure:
    """Draw circuits side by side.

    A box covers the lines of the axes on which it acts; over those that pass it is broadcast. A
    product of arrays that came in has no box: lines that meet in a dot run on as one, and a line
    from one array to another is summed over.

    Parameters
    ----------
    panels : mapping of title to CircuitPanel
    axes : bool
        Without them every array is one line.
    size : pair of float
        The least width and height, in inches.
    """
    drawings = [_Drawing(panel, axes) for panel in panels.values()]
    whole = sum(drawing.width for drawing in drawings)
    width = max(size[0], whole)
    top = 0.45 if any(panels) else 0.2
    height = max(size[1], top + max(drawing.height for drawing in drawings))
    figure = new_figure(width, height)
    figure.set_layout_engine("none")  # every length is given
    left = (width - whole) / 2
    for title, drawing in zip(panels, drawings, strict=True):
        panel = figure.add_axes((left / width, 0, drawing.width / width, 1))
        panel.set(xlim=(0, drawing.width), ylim=(top - height, top))
        panel.set_axis_off()
        panel.text(drawing.width / 2, top - 0.13, title, ha="center", va="center", fontsize=10)
        drawing.draw(panel)
        left += drawing.width
    return figure


class _Drawing:
    """Where everything is in one panel; heights count downwards from 0."""

    def __init__(self, panel: CircuitPanel, axes: bool) -> None:
        self.panel, self.with_axes = panel, axes
        rows, levels = panel.circuit.rows, panel.circuit.levels
        roots = dict.fromkeys(_root(axis) for level in levels for w in level for axis in w.axes)
        self.colours = dict(zip(roots, _COLOURS * len(roots), strict=False))
        row = _ROW if axes else 0.34
        plain = [not any(step.kind for step in steps) for steps in rows]
        self.y = [*accumulate((-0.7 * row if p else -row for p in plain), initial=0.0)]
        self.height = 0.12 - self.y[-1]
        self.lines: dict[str, list[Path]] = defaultdict(list)
        self.ribbons: dict[bool, list[Path]] = defaultdict(list)  # of what is kept, and the others
        self.dots: list[tuple[float, float]] = []
        self._place(levels)

    def _place(self, levels: Sequence[Sequence["Wire"]]) -> None:
        """Find where lines are: as wide for all levels with as many ribbons, each in the middle."""
        said: dict[tuple[int, int], float] = defaultdict(float)  # ribbons, ribbon: the words' width
        wide: dict[tuple[int, int], int] = defaultdict(int)
        for k, steps in enumerate(self.panel.circuit.rows):
            enter = leave = -1
            for step in steps:
                enter, leave = enter + len(_data(step)), leave + len(step.outs)
                words = _LETTER * max(map(len, self._title(step).split("\n")))
                for at in ((len(levels[k]), enter), (len(levels[k + 1]), leave)):
                    said[at] = max(said[at], words)
        for level in levels:
            for b, wire in enumerate(level):
                wide[len(level), b] = max(wide[len(level), b], self._count(wire))

        def slot(n: int, b: int) -> float:
            return _LINE * wide[n, b] + _GAP

        def extent(n: int) -> float:
            return sum(slot(n, b) + (said[n, b] if b < n - 1 else 0) for b in range(n))

        counts = {len(level) for level in levels}
        middle = max(extent(n) for n in counts) / 2 + 0.12 * bool(self.panel.cuts)
        self.width = middle + max(extent(n) / 2 + said[n, n - 1] for n in counts)
        self.places: list[list[Ribbon]] = []
        for level in levels:
            n, ribbons = len(level), []
            x = middle - extent(n) / 2
            for b, wire in enumerate(level):
                first = x + slot(n, b) / 2 - _LINE * (self._count(wire) - 1) / 2
                ribbons.append([first + _LINE * i for i in range(self._count(wire))])
                x += slot(n, b) + said[n, b]
            self.places.append(ribbons)

    def _count(self, wire: "Wire") -> int:
        return len(wire.axes) if self.with_axes else 1

    def draw(self, axes: Axes) -> None:
        """Draw row after row, and the lines on top."""
        circuit = self.panel.circuit
        if self.with_axes:
            for ribbon, wire in zip(self.places[0], circuit.levels[0], strict=True):
                self._labels(axes, ribbon, wire.axes, 0)
        for k, steps in enumerate(circuit.rows):
            enter = leave = 0
            for step in steps:
                above = self.places[k][enter : enter + len(_data(step))]
                below = self.places[k + 1][leave : leave + len(step.outs)]
                (self._box if step.kind else self._wires)(axes, step, above, below, k)
                enter, leave = enter + len(above), leave + len(below)
        for kept, paths in (
            self.ribbons.items() if self.with_axes else ()
        ):  # as one path, so that none darkens another
            colour = (PALETTE["ochre"], 0.4) if kept else (FOREGROUND, 0.07)
            shape = Path.make_compound_path(*paths)
            axes.add_patch(PathPatch(shape, fc=colour, ec="none", lw=0, zorder=1))
        for line, paths in self.lines.items():
            shape = Path.make_compound_path(*paths)
            axes.add_patch(PathPatch(shape, fill=False, ec=line, lw=1.5, zorder=2))
        for x, y in self.dots:
            axes.plot(x, y, "o", color=FOREGROUND, markersize=3.2, zorder=4)
        for level in self.panel.cuts:
            y = self.y[level]
            axes.plot(
                [0.02, self.width],
                [y, y],
                "--",
                color=PALETTE["vermilion"],
                linewidth=1.3,
                zorder=5,
            )
            axes.text(
                0.02,
                y,
                "✂",
                color=PALETTE["vermilion"],
                va="center",
                ha="left",
                fontsize=11,
                zorder=5,
            )

    def _wires(self, _: Axes, step: "Step", above: Ribbons, below: Ribbons, k: int) -> None:
        for pick, ribbon in zip(step.picks, below, strict=True):
            self._ribbon(step.ins[pick], above[pick], ribbon, self.y[k], self.y[k + 1])
            for x, to, axis in zip(above[pick], ribbon, step.ins[pick].axes, strict=False):
                self._line(axis, (x, self.y[k]), (to, self.y[k + 1]))

    def _box(self, axes: Axes, step: "Step", above: Ribbons, below: Ribbons, k: int) -> None:
        top, low, wires, (under,) = self.y[k], self.y[k + 1], _data(step), below
        middle, alone = (top + low) / 2, len(wires) == 1
        for wire, ribbon in zip(wires, above, strict=True):
            if not alone:
                self._ribbon(wire, ribbon, under, top, low)
        if alone:
            waist = [(above[0][0] + under[0]) / 2, (above[0][-1] + under[-1]) / 2]
            self._ribbon(wires[0], above[0], waist, top, middle)
            self._ribbon(step.outs[0], waist, under, middle, low)
        ends = dict(zip(self._letters(step, -1), under, strict=True))
        acts = _acts(step) if self.with_axes else {""}
        starts: dict[str, list[float]] = defaultdict(list)
        for b, ribbon in enumerate(above):
            for letter, x, axis in zip(self._letters(step, b), ribbon, wires[b].axes, strict=False):
                starts[letter].append(x)
                if alone and letter in acts:
                    self._line(axis, (x, top), (x, middle))
                elif letter in ends:
                    self._line(axis, (x, top), (ends[letter], low))
                elif len(starts[letter]) > 1:  # summed over
                    self._line(axis, (starts[letter][-2], top), (x, top), sag=top - middle)
        for letter, x, axis in zip(ends, under, step.outs[0].axes, strict=False):
            if alone and letter in acts:
                self._line(axis, (x, middle), (x, low))
            self.dots += [(x, low + 0.05)] if len(starts[letter]) > 1 else []
        if self.with_axes:
            fresh = [
                axis if not alone or letter in acts else ""
                for letter, axis in zip(ends, step.outs[0].axes, strict=True)
            ]
            self._labels(axes, under, fresh, low + 0.05 * (not alone))
        words = self._title(step)
        if not alone:
            between = (above[0][-1] + above[-1][0]) / 2
            axes.text(between, middle + 0.1, words, ha="center", va="center", fontsize=8.5)
            return
        span = [x for letter in acts for x in starts[letter]]
        span += [ends[letter] for letter in acts if letter in ends]
        span = span or [*above[0], *under]
        self._frame(axes, step, min(span) - 0.09, max(span) + 0.09, middle)
        edge = max(above[0][-1], under[-1]) + 0.13
        axes.text(edge, middle, words, ha="left", va="center", fontsize=8.5, linespacing=1)

    def _frame(self, axes: Axes, step: "Step", left: float, right: float, y: float) -> None:
        """Draw a box: filled if something in it is learned, dashed if it acts on no axis."""
        learned = len(step.ins) > 1
        colour = PALETTE["blue"] if learned else PALETTE["vermilion"]
        axes.add_patch(
            FancyBboxPatch(
                (left, y - _HALF), right - left, 2 * _HALF, fc=(colour, 0.35 if learned else 0.12),
                boxstyle="round,pad=0,rounding_size=0.05", ec=colour, lw=1.3, zorder=3,
                ls="--" if step.kind in _ONE_BY_ONE else "-",
            )
        )  # fmt: skip

    def _title(self, step: "Step") -> str:
        return _title(step) if self.with_axes else _short(step)

    def _letters(self, step: "Step", array: int) -> Sequence[str]:
        """Return the letters of an argument, or of the result (-1); joined axes count as one."""
        if not self.with_axes:
            return [""]
        result, letters = step.call.result, (*step.call.args, step.call.result)[array]
        if step.kind == "concat":
            return result
        return letters

    def _line(self, axis: str, start: Point, end: Point, sag: float = 0) -> None:
        """Note a line of an axis, which leaves and arrives upright."""
        (x, y), (u, v) = start, end
        middle = (y + v) / 2 - 1.2 * sag
        colour = self.colours[_root(axis)] if self.with_axes else FOREGROUND
        codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
        self.lines[colour].append(Path([(x, y), (x, middle), (u, middle), (u, v)], codes))

    def _ribbon(self, wire: "Wire", start: Ribbon, end: Ribbon, top: float, low: float) -> None:
        """Draw an array's ribbon between two heights."""
        middle = (top + low) / 2
        a, b, c, d = start[0] - 0.09, start[-1] + 0.09, end[0] - 0.09, end[-1] + 0.09
        corners = [(a, top), (a, middle), (c, middle), (c, low)]
        corners += [(d, low), (d, middle), (b, middle), (b, top), (a, top)]
        codes = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
        self.ribbons[wire in self.panel.kept].append(Path(corners, codes))

    def _labels(self, axes: Axes, ribbon: Ribbon, names: Sequence[str], y: float) -> None:
        for x, name in zip(ribbon, names, strict=True):
            axes.text(x + 0.03, y + 0.03, name, ha="left", va="bottom", fontsize=7, zorder=5)


def _root(axis: str) -> str:
    return re.split(r"[/+-]", axis)[0]


def _data(step: "Step") -> list["Wire"]:
    return [wire for wire in step.ins if not wire.name]


def _acts(step: "Step") -> set[str]:
    """Return the letters on which a box acts; all others pass."""
    args, result = step.call.args, step.call.result
    data = len(_data(step))
    learned = {letter for letters in args[data:] for letter in letters}
    passing = {*result}.intersection(*args[:data]) - learned
    over = set() if step.kind == "scale" else {*step.call.over}
    return over.union(result, *args[:data]) - (passing - over)


def _short(step: "Step") -> str:
    """Return one word beside a box."""
    if step.kind == "linear" and any("+" in x for x in step.call.args[0]):
        return "conv"
    names = [wire.name.removesuffix(".weight") for wire in step.ins if wire.name]
    if step.kind == "linear":
        return names[0] if names else ""
    return {"add": "+ bias" if names else "+"}.get(step.kind, step.kind)


def _title(step: "Step") -> str:
    """Return the words beside a box: what it does, or the name and axes of what is learned."""
    call, kind = step.call, step.kind
    learned = [wire for wire in step.ins if wire.name]
    if kind == "scale":
        return f"÷ √{call.over[0]}"
    if not learned:
        words = {"add": "+", "linear": ""}.get(kind, kind)
    else:
        words = f"{'+ ' * (kind == 'add')}{learned[0].name.removesuffix('.weight')}"
    inner = [x.split("+")[1] for x in [*sum(call.args, ()), *call.result] if "+" in x]
    if kind == "linear" and inner:
        words += " " + "×".join(str(call.size[x]) for x in inner)
        numbers = {"s": call.stride - 1, "p": call.padding, "d": call.dilation - 1}
        words += "".join(f" {k}{n + (k != 'p')}" for k, n in numbers.items() if n)
    return words + (f"\n{' '.join(learned[0].axes)}" if kind == "linear" and learned else "")
