import numpy as np
import pytest

from localbook import plots
from tests.plots.checks import check_drawing

RNG = np.random.default_rng(0)
ALT = "What the picture shows, in a sentence."
SIDE = np.linspace(0, 1, 21)
SQUARES = [
    np.array([[x, y], [x + 0.05, y], [x + 0.05, y + 0.05], [x, y + 0.05]])
    for x in SIDE[:-1]
    for y in SIDE[:-1]
]
PANEL = plots.RegionPanel(
    "a step",
    SQUARES,
    RNG.uniform(-1, 1, len(SQUARES)),
    RNG.random((30, 2, 2)),
    RNG.random((50, 2)),
    RNG.integers(0, 2, 50),
)
FIGURES = {
    "panels": lambda: plots.region_panels([PANEL, PANEL]),
    "bare": lambda: plots.region_panels([plots.RegionPanel("bare", SQUARES, np.zeros(400))]),
    "classes": lambda: plots.class_map(
        SQUARES, RNG.random((30, 2, 2)), {"3": (0.5, 0.5)}, {"an image": (0.2, 0.8)}
    ),
    "counts": lambda: plots.region_counts([0, 10], {"wide": [5, 9], "deep": [3, 8]},
                                          {"wide": 20, "deep": 400}),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_svg_without_black_or_white(name):
    check_drawing(FIGURES[name](), ALT)


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_the_sign_chooses_the_colour_and_the_size_its_strength():
    values = np.array([1.0, -1.0, 0.1])
    axes = plots.region_panels([plots.RegionPanel("three", SQUARES[:3], values)]).axes[0]
    fills = [patch for patch in axes.patches if patch.get_fill()]
    strong = {patch.get_facecolor()[3] for patch in fills if len(patch.get_path().vertices) == 5}
    assert len(fills) == 3
    assert max(strong) > 3 * min(strong)
    assert len({patch.get_facecolor()[:3] for patch in fills}) == 2


def test_every_region_is_drawn_once():
    axes = plots.region_panels([PANEL]).axes[0]
    corners = sum(len(p.get_path().vertices) for p in axes.patches if p.get_fill())
    assert corners == 5 * len(SQUARES)


def test_the_panels_show_the_regions_box():
    axes = plots.region_panels([PANEL]).axes[0]
    assert axes.get_xlim() == axes.get_ylim() == (0, 1)


def test_bounds_are_drawn_beside_the_counts():
    axes = FIGURES["counts"]().axes[0]
    heights = [line.get_ydata()[0] for line in axes.lines]
    assert heights == [5, 20, 3, 400]
    assert [text.get_text() for text in axes.texts] == ["bound for wide", "bound for deep"]
