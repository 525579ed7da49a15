"""Pictures of module-parallel training: who works when, what it gains, what staleness costs."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from localbook.plots.figure import new_figure
from localbook.plots.style import PALETTE, house_style

_TURN = (PALETTE["blue"], PALETTE["vermilion"], PALETTE["green"])
_MARKS = ("o", "s", "^", "D", "v")
_LINES = ("-", "--", "-.", ":")


@house_style()
def update_timeline(
    updates: Sequence[tuple[Sequence[float], Sequence[float]]], first: int, last: int
) -> Figure:
    """Draw who computes which batch when: a row for each module, a bar for each update.

    Parameters
    ----------
    updates : sequence of (sequence of float, sequence of float)
        For each module when its updates began and ended, in seconds.
    first, last : int
        The batches shown, the last one included; time is counted from the first one's beginning.
    """
    figure = new_figure(6.4, 1.2 + 0.5 * len(updates))
    axes = figure.subplots()
    start = updates[0][0][first]
    for row, (begin, end) in enumerate(updates, start=1):
        for batch in range(first, last + 1):
            left, width = 1e3 * (begin[batch] - start), 1e3 * (end[batch] - begin[batch])
            colour = _TURN[batch % len(_TURN)]
            axes.add_patch(Rectangle((left, row - 0.36), width, 0.72, color=colour, alpha=0.4))
            axes.text(left + width / 2, row, str(batch + 1), ha="center", va="center", fontsize=8)
    axes.set_xlim(0, 1e3 * (updates[-1][1][last] - start) * 1.02)
    axes.set_ylim(len(updates) + 0.6, 0.4)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("module")
    axes.set_xlabel("time (ms)")
    return figure


@house_style()
def speed_up_by_modules(
    modules: Sequence[int],
    predicted: Mapping[str, Sequence[float]],
    measured: Sequence[tuple[int, float, str]] = (),
) -> Figure:
    """Draw the speed-up over one process against the number of modules.

    Parameters
    ----------
    modules : sequence of int, length n
    predicted : mapping of label to sequence of float, length n
        A line for each.
    measured : sequence of (int, float, str)
        Modules, speed-up and label of the points.
    """
    figure = new_figure()
    axes = figure.subplots()
    axes.plot(modules, modules, color=PALETTE["blue"], linewidth=1, linestyle=":",
              label="one for each module")  # fmt: skip
    colours = [PALETTE[name] for name in ("green", "vermilion", "purple")]
    for number, (label, line) in enumerate(predicted.items()):
        axes.plot(modules, line, color=colours[number % 3], linestyle=_LINES[number % 4],
                  marker=_MARKS[number % 5], label=label)  # fmt: skip
    for number, (count, speed, label) in enumerate(measured):
        axes.plot([count], [speed], color=PALETTE["ochre"], linestyle="", markersize=9,
                  marker="*P"[number % 2], label=label)  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(modules, [str(count) for count in modules])
    ticks = [2**power for power in range(max(modules).bit_length())]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("modules, each in a process")
    axes.set_ylabel("images a second, over one process")
    axes.legend()
    return figure


@house_style()
def accuracy_by_staleness(
    found: Mapping[str, tuple[Sequence[float], Sequence[float]]], xlabel: str, *, log: bool = False
) -> Figure:
    """Draw accuracy against staleness, a line for each case.

    Parameters
    ----------
    found : mapping of label to (staleness, accuracy)
    xlabel : str
        What is counted.
    log : bool
        Whether the staleness is doubled from point to point.
    """
    figure = new_figure()
    axes = figure.subplots()
    colours = [PALETTE[name] for name in ("green", "vermilion", "blue", "purple")]
    for number, (label, (staleness, accuracy)) in enumerate(found.items()):
        axes.plot(staleness, accuracy, color=colours[number % 4], marker=_MARKS[number % 5],
                  linestyle=_LINES[number % 4], label=label)  # fmt: skip
    if log:
        axes.set_xscale("log", base=2)
        ticks = sorted({value for staleness, _ in found.values() for value in staleness})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel(xlabel)
    axes.set_ylabel("accuracy")
    axes.legend()
    return figure
