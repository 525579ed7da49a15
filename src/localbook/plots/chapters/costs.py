"""Pictures of what a training step costs: who waits for whom, bytes held, time taken."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from localbook.plots.figure import new_figure
from localbook.plots.style import METHOD, PALETTE, Look, house_style

_PASS = {"forward": (PALETTE["blue"], "F"), "backward": (PALETTE["vermilion"], "B")}
_MIB = 2**20


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
            axes.barh(
                module + 0.43,  # below its passes
                own[-1] + 1 - own[0],
                left=own[0],
                height=0.1,
                color=PALETTE["ochre"],
                zorder=1,
            )
        for slot, (kind, module) in enumerate(passes):
            colour, letter = _PASS[kind]
            corner = (slot + 0.05, module - 0.36)
            axes.add_patch(Rectangle(corner, 0.9, 0.72, color=colour, alpha=0.75, zorder=2))
            axes.text(slot + 0.5, module, letter, ha="center", va="center", fontsize=9)
        axes.set_title(title, loc="left")
        axes.set_ylim(modules + 0.7, 0.4)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("module")
        axes.set_xlabel("passes through one module, in their order")
    keys = [
        Patch(color=colour, alpha=0.75, label=f"{letter}: {kind}")
        for kind, (colour, letter) in _PASS.items()
    ]
    keys.append(Patch(color=PALETTE["ochre"], label="until its weights are updated"))
    figure.legend(handles=keys, loc="outside lower center", ncols=3, fontsize=9)
    return figure


@house_style()
def bytes_over_step(courses: Mapping[str, Sequence[int]]) -> Figure:
    """Draw how what is held for backward rises and falls in a step, over the share that is done.

    Parameters
    ----------
    courses : mapping of method to sequence of int
        The bytes held after each change.
    """
    figure = new_figure()
    axes = figure.subplots()
    for method, course in courses.items():
        look = _look(method)
        share = np.linspace(0, 1, len(course))
        held = np.asarray(course) / _MIB
        axes.step(share, held, where="post", color=look.colour, linestyle=look.line)
        mark = int(held.argmax())
        axes.plot(share[mark], held[mark], color=look.colour, marker=look.marker)
        axes.plot([], [], color=look.colour, marker=look.marker, linestyle=look.line,
                  label=look.label)  # fmt: skip
    axes.set_xlabel("share of the step's saves and releases that are done")
    axes.set_ylabel("held for backward (MiB)")
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


@house_style()
def bytes_by_depth(depths: Sequence[int], held: Mapping[str, Sequence[int]]) -> Figure:
    """Draw the peak of what is held for backward over the number of modules.

    Parameters
    ----------
    depths : sequence of int, length n
    held : mapping of method to sequence of int, length n
        Bytes.
    """
    figure = new_figure()
    axes = figure.subplots()
    for method, peaks in held.items():
        look = _look(method)
        axes.plot(depths, np.asarray(peaks) / _MIB, color=look.colour, marker=look.marker,
                  linestyle=look.line, label=look.label)  # fmt: skip
    axes.set_xlabel("modules")
    axes.set_ylabel("held for backward, at most (MiB)")
    axes.set_ylim(bottom=0)
    axes.set_xticks(depths)
    axes.legend()
    return figure


@house_style()
def cost_ratios(costs: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Draw what each method costs over back-propagation: a panel a measure, a bar a method.

    Parameters
    ----------
    costs : mapping of axis label to mapping of method to ratio
        A ratio that could not be taken is None and leaves its place empty.
    """
    figure = new_figure(6.4, 3.0)
    panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axes, (label, ratios) in zip(panels, costs.items(), strict=True):
        # A column of numbers on the right, clear of the bars and of the line at back-propagation.
        right = 1.4 * max(1.0, *(ratio for ratio in ratios.values() if ratio is not None))
        axes.set_xlim(0, right)
        for place, (method, ratio) in enumerate(ratios.items()):
            if ratio is not None:
                axes.barh(place, ratio, color=_look(method).colour, alpha=0.8)
                axes.text(right, place, f"{ratio:.2f} ", ha="right", va="center", fontsize=8)
        axes.axvline(1, color=PALETTE["blue"], linewidth=1, linestyle="--")
        axes.set_yticks(range(len(ratios)), [_look(method).label for method in ratios])
        axes.set_ylim(len(ratios) - 0.4, -0.6)
        axes.set_xlabel(label)
    return figure


def _look(method: str) -> Look:
    return METHOD.get(method, Look(method, PALETTE["ochre"], "v", "-."))
