import xml.etree.ElementTree as ET

import numpy as np
import pytest

from localbook import plots

T = np.arange(2000)
PATH = np.column_stack([0.9 * np.exp(-T / 500), np.exp(T / 700)])
LOSS = np.exp(-T / 300)
WEIGHTS = np.geomspace(1, 40, 9)
FIGURES = {
    "paths": lambda: plots.paths_and_losses(
        {"local": PATH, "sgr": PATH / 2}, {"local": LOSS, "sgr": LOSS / 2}, step=0.01, top=(6, 1)
    ),
    "limits": lambda: plots.final_losses((WEIGHTS, 1 / WEIGHTS), (WEIGHTS, 1 / WEIGHTS), 4.0),
    "bounds": lambda: plots.losses_and_bounds({"bp": (LOSS, LOSS * 2), "sgr": (LOSS, LOSS * 3)}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_and_labelled(name):
    figure = FIGURES[name]()
    drawing = plots.svg(figure, "What the picture shows, in a sentence.")
    assert ET.fromstring(drawing).get("role") == "img"
    assert len(drawing) < 100_000
    assert "#000000" not in drawing
    for axes in figure.axes:
        assert axes.get_xlabel()
    assert figure.axes[0].get_ylabel()


def test_paths_keep_their_ends_and_stay_inside():
    plane, over_time = FIGURES["paths"]().axes
    line = next(line for line in plane.lines if line.get_label() == "plain local learning")
    assert line.get_xdata()[0] == PATH[0, 0]
    assert line.get_ydata().max() <= 6
    assert len(line.get_xdata()) <= 250
    loss = over_time.lines[0]
    assert loss.get_xdata()[-1] == pytest.approx(0.01 * T[-1])
    assert loss.get_ydata()[-1] == LOSS[-1]


def test_every_panel_of_bounds_shows_both_curves():
    for axes, factor in zip(FIGURES["bounds"]().axes, (2, 3), strict=True):
        bound, loss = axes.lines
        assert np.array_equal(bound.get_ydata(), factor * loss.get_ydata())
