import numpy as np
import pytest

from localbook import plots
from tests.plots.checks import check_drawing

ALT = "What the picture shows, in a sentence."
GENERATORS = np.array([[1.0, 0.2], [0.1, 1.0], [-0.7, 0.6]])
SQUARE = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
POLYGONS = [SQUARE[:2], SQUARE, SQUARE + SQUARE]
UP = np.array([0.0, 1.0])
POSITIVE = np.array([True, True, False])
FIGURES = {
    "growth": lambda: plots.zonotope_growth(GENERATORS, POLYGONS, 3),
    "first": lambda: plots.zonotope_growth(GENERATORS, POLYGONS, 1),
    "direction": lambda: plots.support_direction(GENERATORS, POSITIVE, SQUARE, SQUARE[2], UP),
    "hull": lambda: plots.hull_of_polygons(
        {"one": SQUARE, "two": SQUARE + 2}, np.array([[0.0, 0], [3, 2], [3, 3]]),
        np.array([[[0.0, 0], [3, 2]]]),
    ),
    "times": lambda: plots.times_by_size(
        {"plane": {"ours": ([10, 100], [0.1, 0.2]), "theirs": ([10], [3.0])},
         "space": {"ours": ([10], [0.4]), "slow": ([10], [9.0])}}, "generators",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_svg_without_black_or_white(name):
    check_drawing(FIGURES[name](), ALT)


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_limits_do_not_depend_on_how_many_generators_are_shown():
    frames = [plots.zonotope_growth(GENERATORS, POLYGONS, k).axes for k in (1, 2, 3)]
    for axes in zip(*frames, strict=True):
        assert len({a.get_xlim() + a.get_ylim() for a in axes}) == 1


def test_the_sweep_leads_from_the_last_polygon_along_the_generator():
    swept = plots.zonotope_growth(GENERATORS, POLYGONS, 3).axes[1].collections[0].get_segments()
    np.testing.assert_allclose([b - a for a, b in swept], [GENERATORS[2]] * len(SQUARE))


def test_the_supporting_line_passes_through_the_vertex_at_right_angles():
    line = FIGURES["direction"]().axes[1].lines[0]
    assert set(line.get_ydata()) == {1.0}  # the direction is up, the vertex (1, 1)


def test_one_method_looks_the_same_in_all_panels():
    figure = FIGURES["times"]()
    ours = [axes.lines[0] for axes in figure.axes]
    assert len({line.get_color() for line in ours}) == 1
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["ours", "theirs", "slow"]
