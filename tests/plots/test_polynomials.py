import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from localbook import plots

TRIANGLE = np.array([[0.0, 0], [1, 0], [0, 1]])
SIDES = TRIANGLE[[[0, 1], [1, 2], [2, 0]]]
RAYS = np.stack([np.zeros((3, 2)), [[0, -1], [1, 1], [-1, 0]]], axis=1)


def line_panel(title="line"):
    names = {"0": (np.array([-1, -1]), TRIANGLE[0])}
    return plots.DualPanel(title, RAYS, SIDES, TRIANGLE, np.array([[0.5, 0.5]]), names)


def lift():
    x = np.linspace(-2, 2, 5)
    lifted = np.array([[0.0, 0], [1, 1], [2, -3]])
    monomials = {"$0$": 0 * x, "$1 + x$": 1 + x, "$-3 + 2x$": 2 * x - 3}
    return plots.graph_and_lift(x, monomials, np.array([[-1.0, 0]]), lifted, lifted[:2])


FIGURES = {
    "one": lambda: plots.curves_and_duals([line_panel()]),
    "five": lambda: plots.curves_and_duals([line_panel(f"{k}") for k in range(5)]),
    "lift": lift,
    "curves": lambda: plots.curves(
        np.arange(4.0), {"$f$": np.arange(4.0) - 1, "$H$": np.arange(4.0)}, np.array([1.0])
    ),
    "subdivisions": lambda: plots.subdivisions(
        {"coarse": SIDES, "fine": SIDES},
        {name: (place, (5, 5)) for name, place in zip("ABC", TRIANGLE, strict=True)},
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_and_labelled(name):
    figure = FIGURES[name]()
    drawing = plots.svg(figure, "What the picture shows, in a sentence.")
    assert ET.fromstring(drawing).get("role") == "img"
    assert "#000000" not in drawing
    assert "#ffffff" not in drawing
    assert len(drawing) < 100_000
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_a_piece_and_its_dual_edge_have_one_colour():
    figure = FIGURES["one"]()
    above, below = (
        next(c for c in axes.collections if isinstance(c, LineCollection)) for axes in figure.axes
    )
    assert np.array_equal(above.get_colors(), below.get_colors())
    assert len({tuple(colour) for colour in above.get_colors()}) == 3


def test_parallel_edges_have_one_colour():
    twice = np.concatenate([SIDES, SIDES[:, ::-1] + 1])
    (axes,) = plots.subdivisions({"parallel": twice}, {"A": (TRIANGLE[0], (5, 5))}).axes
    (edges,) = axes.collections
    assert np.array_equal(edges.get_colors()[:3], edges.get_colors()[3:])


def test_names_stand_among_inputs_and_at_their_exponents():
    upper, lower = FIGURES["one"]().axes
    assert [t.get_text() for t in upper.texts] == [t.get_text() for t in lower.texts] == ["0"]
    assert tuple(lower.texts[0].xy) == (0, 0)


def test_the_maximum_is_drawn_over_its_monomials():
    left, right = lift().axes
    assert left.lines[0].get_ydata().tolist() == [0, 0, 1, 2, 3]
    assert left.get_legend().get_texts()[0].get_text() == "maximum"
    assert any(line.get_xdata().tolist() == [0, 1, 2] for line in right.lines)
