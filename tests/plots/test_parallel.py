import pytest

from localbook import plots
from tests.plots.checks import check_drawing

ALT = "What the picture shows, in a sentence."
UPDATES = [([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.5], [2.0, 3.0, 4.0])]
FIGURES = {
    "timeline": lambda: plots.update_timeline(UPDATES, 1, 2),
    "speed": lambda: plots.speed_up_by_modules(
        [1, 2, 8, 64], {"a model": [1, 2, 6, 20]}, [(2, 1.8, "measured")]
    ),
    "doubled": lambda: plots.accuracy_by_staleness(
        {"one": ([1, 4], [0.9, 0.8])}, "messages", log=True
    ),
    "staleness": lambda: plots.accuracy_by_staleness({"one": ([0, 4], [0.9, 0.8])}, "updates"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_svg_without_black_or_white(name):
    check_drawing(FIGURES[name](), ALT)


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_the_timeline_counts_from_the_first_batch_shown():
    (axes,) = FIGURES["timeline"]().axes
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0, 1000), (1000, 1000), (1000, 1000), (2500, 500)]
    assert [text.get_text() for text in axes.texts] == ["2", "3", "2", "3"]


def test_axes_of_the_speed_up_name_every_number_of_modules():
    (axes,) = FIGURES["speed"]().axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "8", "64"]
