import pytest

from localbook import plots
from tests.plots.checks import check_drawing

ALT = "What the picture shows, in a sentence."
STEPS = {
    "one": [("forward", 1), ("forward", 2), ("backward", 2), ("backward", 1)],
    "two": [("forward", 1), ("backward", 1), ("forward", 2), ("backward", 2)],
}
RATIOS = {"memory over BP": {"bp": 1.0, "local": 0.4, "another": None}, "time": {"bp": 1.0,
          "local": 1.1, "another": 2.0}}  # fmt: skip
FIGURES = {
    "timeline": lambda: plots.step_timeline(STEPS),
    "step": lambda: plots.bytes_over_step({"bp": [0, 3 << 20, 0], "local": [0, 1 << 20, 0]}),
    "depth": lambda: plots.bytes_by_depth([2, 4], {"bp": [1 << 20, 2 << 20], "sgr": [1, 2]}),
    "ratios": lambda: plots.cost_ratios(RATIOS),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_svg_without_black_or_white(name):
    check_drawing(FIGURES[name](), ALT)


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or name == "ratios"  # whose bars are named


def test_a_modules_lock_lasts_from_its_first_pass_to_its_last():
    long, short = FIGURES["timeline"]().axes
    locks = [[bar.get_width() for bar in axes.containers[0]] + [bar.get_width() for bar in
             axes.containers[1]] for axes in (long, short)]  # fmt: skip
    assert locks == [[4, 2], [2, 2]]


def test_bytes_are_drawn_in_mib():
    axes = FIGURES["depth"]().axes[0]
    assert list(axes.lines[0].get_ydata()) == [1, 2]
    assert FIGURES["step"]().axes[0].lines[0].get_ydata().max() == 3


def test_an_unknown_ratio_leaves_its_place_empty():
    memory, time = FIGURES["ratios"]().axes
    assert len(memory.containers) == 2
    assert len(time.containers) == 3
    assert [label.get_text() for label in memory.get_yticklabels()][-1] == "another"
