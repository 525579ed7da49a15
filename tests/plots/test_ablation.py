import xml.etree.ElementTree as ET

import numpy as np

from localbook import plots

ALT = "Two panels made up for a test of the picture."


def test_against_weight():
    curve = {0.1: [0.5, 0.6], 10.0: [0.7, 0.8]}
    figure = plots.against_weight(
        {"accuracy": curve, "cosine": curve},
        {"accuracy": [0.4, 0.5], "cosine": [0.1, 0.2]},
        "plain local learning",
    )
    left, right = figure.axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("accuracy", "cosine")
    assert left.get_xscale() == "log"
    drawn = [line for line in left.lines if line.get_label() == "SGR, mean of seeds"]
    assert drawn[0].get_ydata().tolist() == [0.55, 0.75]
    ET.fromstring(plots.svg(figure, ALT))


def test_seeds_by_variant_reads_from_top_to_bottom():
    panels = {"accuracy": {"first": [0.5, 0.6], "second": [0.7, 0.9], "third": [0.1, 0.2]}}
    figure = plots.seeds_by_variant(panels)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second", "third"]
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "accuracy"
    text = plots.svg(figure, ALT)
    ET.fromstring(text)
    assert len(text) < 100_000


def test_contours():
    axis = np.linspace(-1, 1, 5)
    values = np.add.outer(axis**2, axis**2)
    figure = plots.contours({"a": values, "b": values}, axis, (0.5, 0.5), ("$u$", "$v$"))
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert figure.axes[0].get_xlabel() == "$u$"
    ET.fromstring(plots.svg(figure, ALT))


def test_errors_by_step():
    figure = plots.errors_by_step({"tanh": [0.1, 0.01], "ReLU": [0.1, 1.0]}, [1.0, 0.1])
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["tanh", "ReLU"]
    ET.fromstring(plots.svg(figure, ALT))
