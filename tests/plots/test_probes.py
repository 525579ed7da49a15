import xml.etree.ElementTree as ET

import numpy as np
import pytest

from localbook import plots

RNG = np.random.default_rng(0)
MAP = np.array([[1.0, 0.5], [0.25, 0.0]])
FIGURES = {
    "probes": lambda: plots.probes_by_depth({"bp": RNG.random((2, 5)), "sgr": RNG.random((2, 5))}),
    "maps": lambda: plots.similarity_maps({"one": MAP, "other": MAP.T}, "module of the first"),
    "neurons": lambda: plots.matched_neurons({"a": RNG.random((2, 4)), "b": RNG.random((1, 4))}),
    "exits": lambda: plots.exit_curves({"bp": (RNG.random(4), RNG.random(4))}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_and_labelled(name):
    figure = FIGURES[name]()
    drawing = plots.svg(figure, "What the picture shows, in a sentence.")
    assert ET.fromstring(drawing).get("role") == "img"
    assert len(drawing) < 100_000
    assert "#000000" not in drawing
    assert figure.axes[0].get_ylabel()
    assert all(axes.get_xlabel() for axes in figure.axes)


def test_probes_start_at_the_input():
    (axes,) = FIGURES["probes"]().axes
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2, 3, 4]


def test_maps_count_modules_from_one_and_write_each_value():
    first, second = FIGURES["maps"]().axes
    found = {(t.get_position(), t.get_text()) for t in first.texts}
    assert found == {((1, 1), "1.0"), ((2, 1), "0.5"), ((1, 2), "0.2"), ((2, 2), "0.0")}
    assert {t.get_text() for t in second.texts} == {"1.0", "0.5", "0.2", "0.0"}
    alpha = first.images[0].get_array()[..., 3]
    assert alpha[0, 0] > alpha[0, 1] > alpha[1, 0] > alpha[1, 1] == 0
