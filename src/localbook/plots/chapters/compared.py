"""Pictures of the large comparisons: memory by number of modules, accuracy against its price."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from localbook.plots.figure import new_figure
from localbook.plots.style import METHOD, PALETTE, Look, house_style

RULES: Mapping[str, Look] = METHOD | {
    "sgr-local": METHOD["sgr"],
    "greedy": Look("greedy", PALETTE["ochre"], "p", ":"),
    "dgl": Look("DGL", PALETTE["vermilion"], "P", ":"),
    "predsim": Look("predsim", PALETTE["vermilion"], "v", ":"),
    "infopro": Look("InfoPro", PALETTE["vermilion"], "*", ":"),
    "sgr-dgl": Look("SGR on DGL", PALETTE["green"], "X", ":"),
    "sgr-predsim": Look("SGR on predsim", PALETTE["green"], "<", ":"),
    "sgr-infopro": Look("SGR on InfoPro", PALETTE["green"], "d", ":"),
}
"""How each rule of the large comparisons looks: with SGR in one colour, without in another."""


@house_style()
def share_by_modules(
    ks: Sequence[int], panels: Mapping[str, Mapping[str, Sequence[float]]], ylabel: str
) -> Figure:
    """Draw what each rule needs, over back-propagation's, by the number of modules.

    Parameters
    ----------
    ks : sequence of int, length n
    panels : mapping of title to mapping of method to sequence of float, length n
        Methods are keys of ``RULES``; ratios to back-propagation, whose line is drawn at 1.
    ylabel : str
    """
    figure = new_figure(6.4, 3.4)
    places = np.arange(len(ks))
    rows = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (title, methods) in zip(rows[0], panels.items(), strict=True):
        axes.axhline(1, color=RULES["bp"].colour, label=RULES["bp"].label)
        for method, ratios in methods.items():
            look = RULES[method]
            axes.plot(places, ratios, color=look.colour, marker=look.marker, linestyle=look.line,
                      label=look.label)  # fmt: skip
        axes.set_xticks(places, [str(k) for k in ks])
        axes.set_xlim(-0.3, len(ks) - 0.7)
        axes.set_xlabel("modules")
        axes.set_title(title)
    rows[0][0].set_ylim(bottom=0)  # now that every panel has had its say
    rows[0][0].set_ylabel(ylabel)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  fontsize=9)  # fmt: skip
    return figure


@house_style()
def accuracy_against_price(
    panels: Mapping[str, Mapping[str, float]], accuracy: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw a Pareto picture: accuracy against each price, with the range of the seeds.

    Up and to the left is better. The staircase joins the methods that no other beats in both.

    Parameters
    ----------
    panels : mapping of axis label to mapping of method to its price
        Methods are keys of ``RULES``.
    accuracy : mapping of method to one number for each seed
    """
    figure = new_figure(6.4, 3.6)
    rows = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (label, prices) in zip(rows[0], panels.items(), strict=True):
        means = {method: float(np.mean(accuracy[method])) for method in prices}
        best = [(prices[m], means[m]) for m in undominated(prices, means)]
        axes.step(*zip(*best, strict=True), where="post", color=PALETTE["blue"], alpha=0.3)
        for method, price in prices.items():
            look, values = RULES[method], accuracy[method]
            axes.vlines(price, min(values), max(values), color=look.colour, alpha=0.6)
            axes.plot([price], [means[method]], look.marker, color=look.colour, label=look.label)
        axes.set_xlabel(label)
        axes.set_xlim(0, 1.12 * max(prices.values()))
        axes.xaxis.set_major_locator(MaxNLocator(5))
    rows[0][0].set_ylabel("test accuracy")
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  fontsize=9)  # fmt: skip
    return figure


def undominated(prices: Mapping[str, float], scores: Mapping[str, float]) -> list[str]:
    """Return the methods that none beats in price and score at once, the cheapest first."""
    found: list[str] = []
    for method in sorted(prices, key=lambda m: (prices[m], -scores[m])):
        if not found or scores[method] > scores[found[-1]]:
            found.append(method)
    return found
