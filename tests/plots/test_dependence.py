import xml.etree.ElementTree as ET

import numpy as np

from localbook import plots
from localbook.plots.style import PALETTE

ALT = "Five squares made up for a test of the picture."


def marks(axes):
    return {
        (line.get_xdata()[0], line.get_ydata()[0]): line.get_color()
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
    }


def test_what_comes_later_is_marked_in_another_colour():
    matrix = np.array([[True, True], [False, True]])
    figure = plots.dependence({"one": matrix, "two": matrix.T})
    one, two = figure.axes[:2]
    blue, vermilion = PALETTE["blue"], PALETTE["vermilion"]
    assert marks(one) == {(1, 1): blue, (2, 2): blue, (2, 1): vermilion}
    assert marks(two) == {(1, 1): blue, (2, 2): blue, (1, 2): blue}
    assert one.yaxis_inverted()
    assert one.get_ylabel() == "update of module"
    assert one.get_xlabel() == "weights of module"


def test_a_second_row_begins_after_four():
    figure = plots.dependence({str(n): np.eye(3, dtype=bool) for n in range(5)})
    assert [axes.get_title() for axes in figure.axes if axes.axison] == list("01234")
    text = plots.svg(figure, ALT)
    ET.fromstring(text)
    assert len(text) < 100_000
