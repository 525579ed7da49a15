import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from localbook import plots

RNG = np.random.default_rng(0)
BOX = ((-1.0, 1.0), (-1.0, 1.0))
POINTS, LABELS = RNG.uniform(-1, 1, (60, 2)), np.arange(60) % 2


def panel(count, before=0):
    return plots.DepthPanel(*(RNG.uniform(-1, 1, (k, 2, 2)) for k in (count, before)))


def boundaries():
    rows = {name: [panel(5), panel(0), panel(7, 2)] for name in ("one", "two")}
    return plots.boundaries_by_module(rows, POINTS, LABELS, BOX)


FIGURES = {
    "boundaries": boundaries,
    "measure": lambda: plots.measure_by_module(
        {name: RNG.random((3, 4)) for name in "abcde"}, "share", 2
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_and_well_formed(name):
    drawing = plots.svg(FIGURES[name](), "What the picture shows, in a sentence.")
    assert ET.fromstring(drawing).get("role") == "img"
    assert "#000000" not in drawing
    assert "#ffffff" not in drawing
    assert len(drawing) < 100_000


def test_every_head_has_a_panel_with_its_boundary_and_the_one_before():
    figure = boundaries()
    assert [axes.get_title() for axes in figure.axes] == [f"module {k}" for k in (1, 2, 3)] + [
        ""
    ] * 3
    assert [axes.get_ylabel() for axes in figure.axes] == ["one", "", "", "two", "", ""]
    for axes, lines, before in zip(figure.axes, [5, 0, 7] * 2, [0, 0, 2] * 2, strict=True):
        drawn = [c for c in axes.collections if isinstance(c, LineCollection)]
        assert [len(c.get_paths()) for c in drawn] == [30, 30, lines, before]
        assert axes.get_xlim() == BOX[0]


def test_measures_start_at_the_module_they_belong_to_and_are_told_apart():
    (axes,) = FIGURES["measure"]().axes
    assert axes.get_xlabel() == "module"
    assert axes.get_ylabel() == "share"
    assert [line.get_label() for line in axes.lines] == list("abcde")
    assert all(line.get_xdata().tolist() == [2, 3, 4, 5] for line in axes.lines)
    assert len({line.get_marker() for line in axes.lines}) == 5
