import numpy as np
import pytest

from localbook import plots
from tests.plots.checks import check_drawing

RNG = np.random.default_rng(0)
ALT = "What the picture shows, in a sentence."
SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
DENSE = ([SQUARE, 2 * SQUARE], RNG.uniform(-1, 1, (8, 2, 2)))
SAMPLES = (RNG.uniform(-1, 1, (300, 2)), RNG.integers(0, 2, 300))
POINT = ([np.zeros((1, 2)), 0.5 * SQUARE], np.zeros((0, 2, 2)))
LEFT = [1.0, 0.5, 0.25, 0.125]
LINES = {name: RNG.random((3, 4)) for name in ("rewind", "reinit", "finetune")}
FIGURES = {
    "round": lambda: plots.dual_and_boundary(DENSE, POINT, SAMPLES, "round 3"),
    "scatter": lambda: plots.distance_against_accuracy(
        {"he": (RNG.random(30), RNG.random(30)), "xavier": (RNG.random(30), RNG.random(30))}
    ),
    "one": lambda: plots.over_pruning({"he": LINES}, LEFT, "accuracy"),
    "three": lambda: plots.over_pruning(dict.fromkeys("abc", LINES), LEFT, "accuracy"),
    "margins": lambda: plots.margins(RNG.random(200), RNG.random(200) > 0.1, 1.4),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_svg_without_black_or_white(name):
    check_drawing(FIGURES[name](), ALT)


@pytest.mark.parametrize("name", FIGURES)
def test_axes_are_labelled(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_all_rounds_have_the_same_limits():
    whole, last = (plots.dual_and_boundary(DENSE, net, SAMPLES) for net in (DENSE, POINT))
    for one, other in zip(whole.axes, last.axes, strict=True):
        assert one.get_xlim() == other.get_xlim()
        assert one.get_ylim() == other.get_ylim()


def test_the_dense_boundary_stays_behind_the_pruned_one():
    right = plots.dual_and_boundary(DENSE, POINT, SAMPLES).axes[1]
    assert [len(lines.get_segments()) for lines in right.collections] == [8, 0]


def test_pruning_goes_to_the_right_and_a_line_is_the_mean_of_the_seeds():
    axes = FIGURES["three"]().axes
    assert len(axes) == 3
    assert axes[0].get_xlim()[0] > axes[0].get_xlim()[1]
    np.testing.assert_allclose(axes[2].lines[1].get_ydata(), LINES["reinit"].mean(axis=0))
    np.testing.assert_allclose(axes[2].lines[1].get_xdata(), LEFT)


def test_every_sample_is_counted_once():
    axes = FIGURES["margins"]().axes[0]
    tops = [bar.get_height() for bars in axes.containers for bar in bars]
    assert sum(tops) == 200
    assert axes.lines[0].get_xdata()[0] == 1.4
