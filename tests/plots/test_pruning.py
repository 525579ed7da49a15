import xml.etree.ElementTree as ET

import numpy as np
import pytest

from localbook import plots
from localbook.experiments.pruning import METHODS

ALT = "A picture of pruning, for a test."
SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])


def before_and_after(shrink=0.5):
    segments = np.array([[[0.0, 0], [1, 1]], [[1, 1], [2, 0]]])
    points = np.array([[-1.0, -1], [2, 2], [0, 1]])
    return plots.before_and_after(
        (segments, shrink * segments),
        {"class 1": (SQUARE, shrink * SQUARE), "class 2": (SQUARE - 2, shrink * SQUARE)},
        (points, np.array([0, 1, 1])),
        "5 of 10 neurons",
    )


def curves(methods=tuple(METHODS)):
    rng = np.random.default_rng(0)
    values = {method: rng.uniform(size=(3, 4)) for method in methods}
    panels = {"no tuning": values, "all weights": values}
    return plots.accuracy_by_compression(panels, np.array([0.6, 0.7, 0.8, 0.9]), 0.97)


@pytest.mark.parametrize("draw", [before_and_after, curves])
def test_figures_are_small_svg_with_labelled_axes(draw):
    figure = draw()
    for axes in figure.axes:
        assert axes.get_xlabel()
    assert figure.axes[0].get_ylabel()
    drawing = plots.svg(figure, ALT)
    ET.fromstring(drawing)
    assert len(drawing) < 100_000


def test_only_what_is_pruned_moves_between_frames():
    one, two = before_and_after(0.5), before_and_after(0.1)
    for a, b in zip(one.axes, two.axes, strict=True):
        assert a.get_xlim() == b.get_xlim()
        assert a.get_ylim() == b.get_ylim()
    old = [axes.collections[0].get_segments() for axes in (one.axes[0], two.axes[0])]
    np.testing.assert_array_equal(old[0], old[1])
    new = [axes.collections[1].get_segments() for axes in (one.axes[0], two.axes[0])]
    assert np.abs(np.array(new[0]) - np.array(new[1])).max() > 0.1


def test_every_pruning_has_a_look_of_its_own():
    assert set(plots.PRUNING) == set(METHODS)
    looks = [(look.colour, look.marker) for look in plots.PRUNING.values()]
    assert len(set(looks)) == len(looks)
    (legend,) = curves().legends
    assert len(legend.get_texts()) == len(METHODS)


def test_lines_are_means_over_seeds():
    values = np.array([[0.9, 0.5], [0.7, 0.3]])
    figure = plots.accuracy_by_compression({"t": {"snip": values}}, np.array([0.6, 0.9]), 1.0)
    line = figure.axes[0].lines[1]
    np.testing.assert_allclose(line.get_ydata(), [0.8, 0.4])
