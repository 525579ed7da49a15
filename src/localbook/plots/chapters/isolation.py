"""The drawings that explain gradient isolation, and what meets at one border."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from localbook.plots.figure import new_figure
from localbook.plots.style import FOREGROUND, PALETTE, house_style

_FORWARD, _BACKWARD = PALETTE["blue"], PALETTE["vermilion"]


@house_style()
def isolation_diagram() -> Figure:
    """Draw three modules under back-propagation and, below, under local learning."""
    figure = new_figure(6.4, 4.4)
    whole, local = figure.subplots(2, 1)
    _chain(whole, "Back-propagation: one loss, one backward pass through everything", heads=(3,))
    for module in (2, 3):
        _arrow(whole, (_left(module) - 0.1, 0.3), (_left(module - 1) + 1.25, 0.3), _BACKWARD)
    _chain(local, "Local learning: a head and a loss for each module", heads=(1, 2, 3))
    for module in (2, 3):
        x = _left(module) - 0.85
        local.plot([x, x], [0.05, 0.95], color=FOREGROUND, linewidth=1.2, linestyle=":")
        local.text(x, -0.1, "detach", ha="center", va="top", fontsize=9)
    return figure


@house_style()
def border_diagram() -> Figure:
    """Draw one border: what the modules on its two sides want of the activation between them."""
    figure = new_figure(6.4, 2.6)
    axes = figure.subplots()
    axes.set_xlim(0, 8.9)
    axes.set_ylim(-0.7, 3.0)
    axes.set_axis_off()
    for x, name in ((1.0, "l-1"), (6.8, "l")):
        _box(axes, x, 0.0, rf"$f_{{{name}}}$")
        axes.text(x + 0.55, 2.55, rf"head, loss $\ell_{{{name}}}$", ha="center", va="center")
    axes.text(4.45, 0.55, "$x_{l-1}$", ha="center", va="center", fontsize=12)
    axes.plot([5.3, 5.3], [-0.2, 1.1], color=FOREGROUND, linewidth=1.2, linestyle=":")
    axes.text(5.3, -0.3, "border", ha="center", va="top", fontsize=9)
    _arrow(axes, (2.2, 0.55), (4.0, 0.55), _FORWARD)
    _arrow(axes, (4.9, 0.55), (6.7, 0.55), _FORWARD)
    _arrow(axes, (7.1, 1.1), (7.1, 2.25), _FORWARD)
    _arrow(axes, (4.3, 0.9), (2.3, 2.4), _FORWARD)
    _arrow(axes, (2.6, 2.55), (4.6, 1.05), _BACKWARD)
    axes.text(3.95, 1.95, r"$\delta_{l-1}$", color=_BACKWARD, ha="left", fontsize=12)
    _arrow(axes, (6.7, 0.2), (5.35, 0.2), _BACKWARD)  # it does not cross
    _arrow(axes, (7.6, 2.25), (7.6, 1.1), _BACKWARD)
    axes.text(6.05, -0.05, r"$\gamma_l$", color=_BACKWARD, ha="center", va="top", fontsize=12)
    _arrow(axes, (4.9, 1.05), (6.75, 1.05), PALETTE["green"])
    axes.text(6.0, 1.2, r"$\mathrm{sg}\,\delta_{l-1}$", color=PALETTE["green"], ha="center")
    return figure


def _left(module: int) -> float:
    """Return where the box of a module begins."""
    return 2.9 * module - 1.4


def _chain(axes: Axes, title: str, heads: tuple[int, ...]) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlim(0.2, 8.9)
    axes.set_ylim(-0.5, 2.6)
    axes.set_axis_off()
    axes.text(0.4, 0.65, "$x_0$", ha="center", va="center", fontsize=12)
    for module in (1, 2, 3):
        left = _left(module)
        _box(axes, left, 0.0, f"$f_{module}$")
        start = 0.65 if module == 1 else _left(module - 1) + 1.2
        _arrow(axes, (start, 0.65), (left - 0.05, 0.65), _FORWARD)
        if module > 1:
            axes.text(left - 0.85, 1.1, f"$x_{module - 1}$", ha="center", va="center")
        if module in heads:
            centre = left + 0.55
            axes.text(centre, 2.2, rf"head, loss $\ell_{module}$", ha="center", va="center")
            _arrow(axes, (centre - 0.2, 1.05), (centre - 0.2, 1.95), _FORWARD)
            _arrow(axes, (centre + 0.2, 1.95), (centre + 0.2, 1.05), _BACKWARD)


def _box(axes: Axes, x: float, y: float, label: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y), 1.1, 1.0, boxstyle="round,pad=0.02,rounding_size=0.12", fill=False,
            edgecolor=FOREGROUND,
        )
    )  # fmt: skip
    axes.text(x + 0.55, y + 0.5, label, ha="center", va="center", fontsize=12)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=1.6,
            linestyle="--" if colour == _BACKWARD else "-",
        )
    )  # fmt: skip
