"""Who works when: the passes of one step, and the updates of modules that run in parallel."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from localbook.plots.figure import new_figure
from localbook.plots.style import PALETTE, house_style

_PASS = {"forward": (PALETTE["blue"], "F"), "backward": (PALETTE["vermilion"], "B")}
_TURN = (PALETTE["blue"], PALETTE["vermilion"], PALETTE["green"])


@house_style()
def step_timeline(steps: Mapping[str, Sequence[tuple[str, int]]]) -> Figure:
    """Draw the passes of a step in their order, a row for each module, and how long it is locked.

    Parameters
    ----------
    steps : mapping of title to sequence of (str, int)
        ``("forward", l)`` and ``("backward", l)`` for module l = 1, ..., L, as they come.
    """
    figure = new_figure(6.4, 1.9 * len(steps) + 0.4)
    panels = figure.subplots(len(steps), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, passes) in zip(panels, steps.items(), strict=True):
        modules = max(module for _, module in passes)
        for module in range(1, modules + 1):
            own = [slot for slot, (_, m) in enumerate(passes) if m == module]
            below, length = module + 0.43, own[-1] + 1 - own[0]  # its passes
            axes.barh(below, length, left=own[0], height=0.1, color=PALETTE["ochre"], zorder=1)
        for slot, (kind, module) in enumerate(passes):
            colour, letter = _PASS[kind]
            corner = (slot + 0.05, module - 0.36)
            axes.add_patch(Rectangle(corner, 0.9, 0.72, color=colour, alpha=0.75, zorder=2))
            axes.text(slot + 0.5, module, letter, ha="center", va="center", fontsize=9)
        axes.set_title(title, loc="left")
        axes.set(ylim=(modules + 0.7, 0.4), yticks=range(1, modules + 1), ylabel="module")
        axes.set_xlabel("passes through one module, in their order")
    keys = [
        Patch(color=colour, alpha=0.75, label=f"{letter}: {kind}")
        for kind, (colour, letter) in _PASS.items()
    ]
    keys.append(Patch(color=PALETTE["ochre"], label="until its weights are updated"))
    figure.legend(handles=keys, loc="outside lower center", ncols=3, fontsize=9)
    return figure


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
    finish = max(end[last] for _, end in updates)
    axes.set(xlim=(0, 1e3 * (finish - start) * 1.02), xlabel="time (ms)")
    modules = len(updates)
    axes.set(ylim=(modules + 0.6, 0.4), yticks=range(1, modules + 1), ylabel="module")
    return figure
