"""The three charts draw what they are given: means and ranges, seeds, ratios, differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from localbook import plots
from localbook.errors import ConfigError
from tests.plots.examples import PICTURES, RATIOS, SEEDS

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(arrays(float, SHAPES, elements=st.floats(-1e6, 1e6)))
def test_a_line_is_the_mean_of_the_seeds_and_its_band_their_range(values):
    (axes,) = plots.lines({"a": values}, xlabel="module", ylabel="accuracy").axes
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0))
    assert line.get_xdata().tolist() == list(range(1, values.shape[1] + 1))
    assert len(axes.collections) == (len(values) > 1)
    for band in axes.collections:
        corners = band.get_paths()[0].vertices
        assert (corners[:, 1].min(), corners[:, 1].max()) == (values.min(), values.max())


def test_panels_share_their_axis_where_it_has_one_name():
    figure = plots.lines({"low": {"a": [1, 2]}, "high": {"a": [3, 9]}}, xlabel="x", ylabel="y",
                         ylim=(0, None))  # fmt: skip
    assert [axes.get_title() for axes in figure.axes] == ["low", "high"]
    assert {axes.get_ylim()[0] for axes in figure.axes} == {0}
    assert {axes.get_ylim()[1] > 9 for axes in figure.axes} == {True}
    left, right = PICTURES["lines: their own axes"]().axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("accuracy", "cosine")
    assert left.get_ylim() != right.get_ylim()


def test_a_name_looks_the_same_in_every_panel_and_unlike_the_others():
    figure = plots.lines({"one": {"x": [1], "y": [2]}, "two": {"y": [3]}}, xlabel="x", ylabel="y")
    first, second = (axes.lines[-1] for axes in figure.axes)
    assert (first.get_color(), first.get_marker()) == (second.get_color(), second.get_marker())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y"]
    names = ("bp", "SGR", *"abcdefgh")
    (axes,) = plots.lines({name: [1, 2] for name in names}, xlabel="x", ylabel="y").axes
    assert [line.get_label() for line in axes.lines] == ["back-propagation", *names[1:]]
    assert axes.lines[0].get_color() == plots.LOOKS["bp"].colour
    assert axes.lines[1].get_marker() == plots.LOOKS["sgr"].marker
    markers = [(line.get_color(), line.get_marker()) for line in axes.lines]
    assert len(set(markers)) == len(names)


def test_looks_of_rules_and_of_prunings_differ_in_label_and_marker():
    looks = list(plots.LOOKS.values())
    for group in (set(looks[:12]), looks[12:]):  # SGR has two names
        for feature in ("label", "marker"):
            assert len({getattr(look, feature) for look in group}) == len(group) >= 8


def test_points_are_not_joined_and_only_the_ticks_asked_for_are_marked():
    curves = {"found": [[1, 2], [3, 4]], "law": ([1, 5, 9], [1, 2, 3])}  # at places of its own
    options = {"points": ["found"], "xscale": "log", "xticks": [2, 8]}
    (axes,) = plots.lines(curves, [2, 8], xlabel="x", ylabel="y", **options).axes
    found, law = axes.lines
    assert (found.get_linestyle(), law.get_linestyle()) == ("None", "--")
    assert sorted(found.get_xydata().tolist()) == [[2, 1], [2, 3], [8, 2], [8, 4]]
    assert law.get_xdata().tolist() == [1, 5, 9]
    assert not axes.collections
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "8"]
    assert not len(axes.get_xticks(minor=True))


def reference(axes, direction):
    """Return where the dashed line is and the ends of the band around it."""
    (line,) = (line for line in axes.lines if line.get_linestyle() == "--" and
               line.get_color() == "#010203")  # fmt: skip
    (band,) = axes.patches[-1:]
    place = line.get_xdata() if direction == "x" else line.get_ydata()
    box = band.get_extents().transformed(axes.transData.inverted())
    return place[0], getattr(box, f"interval{direction}").tolist()


def test_the_margin_lies_around_the_baseline():
    for axes in PICTURES["lines: panels"]().axes:
        assert reference(axes, "y") == (0.5, pytest.approx([0.4, 0.6]))


@pytest.mark.parametrize(
    ("curves", "words"),
    [
        ({}, "nothing to draw"),
        ({"title": {}}, "nothing to draw"),
        ({"title": {"a": [1, 2]}, "a": [1, 2]}, "nothing to draw"),
        ({"a": [1, 2, 3]}, "'a' has values of shape .1, 3. for places of shape .2,."),
        ({"a": np.zeros((2, 2, 2))}, "one for each seed"),
        ({"a": ([1], [1, 2])}, "'a' has values"),
    ],
)
def test_curves_that_do_not_fit_are_refused(curves, words):
    with pytest.raises(ConfigError, match=words):
        plots.lines(curves, [1, 2], xlabel="x", ylabel="y")
    for chart in (plots.seeds, plots.ratios):
        with pytest.raises(ConfigError, match="nothing to draw"):
            chart({"accuracy": {}})


def test_every_seed_is_a_point_in_the_row_of_its_name_and_differences_have_intervals():
    accuracy, discord = PICTURES["seeds"]().axes
    names = [tick.get_text() for tick in accuracy.get_yticklabels()]
    assert names == ["back-propagation", "SGR", "another"]
    assert accuracy.get_ylim()[0] > accuracy.get_ylim()[1]  # the first name is on top
    for axes, rows in zip((accuracy, discord), SEEDS.values(), strict=True):
        drawn = [p for line in axes.lines if line.get_marker() != "|" for p in line.get_xydata()]
        places = {"bp": 0, "sgr": 1, "another": 2}
        assert np.array(drawn).tolist() == [[v, places[n]] for n in rows for v in rows[n]]
        means = [segment[0][0] for c in axes.collections for segment in c.get_segments()]
        assert means == [np.mean(values) for values in rows.values() if values]
    (axes,) = PICTURES["seeds: differences"]().axes
    whiskers = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == "|"]
    assert whiskers == [[-0.4, 0.3], [0.8, 3.2]]
    assert reference(axes, "x") == (0, pytest.approx([-0.5, 0.5]))


def test_an_unknown_ratio_leaves_its_place_empty():
    for axes, ratios in zip(PICTURES["ratios"]().axes, RATIOS.values(), strict=True):
        bars = [bar for bars in axes.containers for bar in bars]
        known = {place: r for place, r in enumerate(ratios.values()) if r is not None}
        assert [bar.get_width() for bar in bars] == list(known.values())
        assert [bar.get_y() + bar.get_height() / 2 for bar in bars] == pytest.approx(list(known))
        assert [float(text.get_text()) for text in axes.texts] == list(known.values())
