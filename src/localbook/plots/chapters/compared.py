"""What accuracy costs: each method's beside its price."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from localbook.plots.figure import new_figure
from localbook.plots.shapes import legend_below
from localbook.plots.style import PALETTE, house_style, looks


@house_style()
def accuracy_against_price(
    panels: Mapping[str, Mapping[str, float]], accuracy: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw a Pareto picture: accuracy against each price, with the range of the seeds.

    Up and to the left is better. The staircase joins the methods that no other beats in both.

    Parameters
    ----------
    panels : mapping of axis label to mapping of method to its price
    accuracy : mapping of method to one number for each seed
    """
    figure = new_figure(6.4, 3.6)
    names = looks(accuracy)
    rows = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, (label, prices) in zip(rows[0], panels.items(), strict=True):
        means = {method: float(np.mean(accuracy[method])) for method in prices}
        best = [(prices[m], means[m]) for m in undominated(prices, means)]
        axes.step(*zip(*best, strict=True), where="post", color=PALETTE["blue"], alpha=0.3)
        for method, price in prices.items():
            look, values = names[method], accuracy[method]
            axes.vlines(price, min(values), max(values), color=look.colour, alpha=0.6)
            axes.plot([price], [means[method]], look.marker, color=look.colour, label=look.label)
        axes.set_xlabel(label)
        axes.set_xlim(0, 1.12 * max(prices.values()))
        axes.xaxis.set_major_locator(MaxNLocator(5))
    rows[0][0].set_ylabel("test accuracy")
    legend_below(figure)
    return figure


def undominated(prices: Mapping[str, float], scores: Mapping[str, float]) -> list[str]:
    """Return the methods that none beats in price and score at once, the cheapest first."""
    found: list[str] = []
    for method in sorted(prices, key=lambda m: (prices[m], -scores[m])):
        if not found or scores[method] > scores[found[-1]]:
            found.append(method)
    return found
