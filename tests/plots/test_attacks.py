import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from localbook import plots

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
FRAME = plots.AttackFrame(
    point=np.array([0.5, 0.25]),
    moved_point=np.array([0.6, 0.3]),
    boundary=np.array([[[0.0, 0], [1, 0.6]]]),
    moved_boundary=np.array([[[0.0, 0], [1, 0.4]]]),
    bodies={"$Z_1$": SQUARE, "$Z_2$": SQUARE / 2},
    touching={"$Z_1$": SQUARE[2], "$Z_2$": SQUARE[2] / 2},
)
ROWS = {"tropical": [0.5, 0.6], "PGD": [0.7, 0.75], "FGSM": [0.4, 0.5]}
FIGURES = {
    "panels": lambda: plots.attack_panels(FRAME, (-1, 2, -1, 2)),
    "bounds": lambda: plots.success_by_bound(
        [0.01, 0.1], {"a": [0.1, 0.5], "b": [0, 0.6]}, "bound"
    ),
    "seeds": lambda: plots.seeds_by_name({"success": ROWS, "length": ROWS}),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_and_labelled(name):
    figure = FIGURES[name]()
    drawing = plots.svg(figure, "What the picture shows, in a sentence.")
    assert ET.fromstring(drawing).get("role") == "img"
    assert "#000000" not in drawing
    assert "#ffffff" not in drawing
    assert len(drawing) < 100_000
    assert all(axes.get_xlabel() for axes in figure.axes)
    assert figure.axes[0].get_ylabel()


def test_both_attacks_start_at_the_same_input():
    left, middle, right = FIGURES["panels"]().axes
    for axes, end in ((left, FRAME.moved_point), (middle, FRAME.point)):
        places = [line.get_xydata()[-1] for line in axes.lines]
        np.testing.assert_array_equal(places, [end, FRAME.point, end])
    drawn = [
        [np.array(path.vertices) for path in c.get_paths()]
        for c in middle.collections
        if isinstance(c, LineCollection)
    ]
    np.testing.assert_array_equal(drawn[0], FRAME.moved_boundary)
    np.testing.assert_array_equal(drawn[1], FRAME.boundary)
    assert [t.get_text() for t in right.figure.legends[0].get_texts()] == ["$Z_1$", "$Z_2$"]


def test_supporting_lines_are_perpendicular_to_the_input():
    right = FIGURES["panels"]().axes[2]
    lines = [line.get_xydata() for line in right.lines if len(line.get_xydata()) == 2]
    assert len(lines) == 2
    for ends, touch in zip(lines, FRAME.touching.values(), strict=True):
        assert (ends[1] - ends[0]) @ FRAME.point == pytest.approx(0)
        np.testing.assert_allclose(ends.mean(axis=0), touch)


def test_frames_of_a_slider_share_their_axes():
    moved = replace(FRAME, bodies={k: 2 * v for k, v in FRAME.bodies.items()})
    limits = [
        [(a.get_xlim(), a.get_ylim()) for a in plots.attack_panels(f, (-1, 2, -1, 2)).axes]
        for f in (FRAME, moved)
    ]
    assert limits[0] == limits[1]


def test_every_seed_is_a_point():
    for axes in FIGURES["seeds"]().axes:
        assert [len(line.get_xdata()) for line in axes.lines] == [2, 2, 2]
    first = FIGURES["seeds"]().axes[0]
    assert [t.get_text() for t in first.get_yticklabels()] == list(ROWS)
