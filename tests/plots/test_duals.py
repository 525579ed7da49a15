import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection

from localbook import plots

RNG = np.random.default_rng(0)
SQUARE = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])


def segments(count):
    return RNG.normal(size=(count, 2, 2))


def parts():
    rays = np.stack([np.zeros((3, 2)), RNG.normal(size=(3, 2))], axis=1)
    return {"folds": (segments(4), segments(4)), "boundary": (rays, segments(3))}


FIGURES = {
    "panels": lambda: plots.hypersurfaces(
        {
            title: {"folds": segments(5), "boundary": segments(2)}
            for title in ("the paper's form", "the reduced form")
        },
        areas=[SQUARE],
    ),
    "subdivision": lambda: plots.hypersurface_and_dual(parts()),
    "zonotopes": lambda: plots.hypersurface_and_dual(
        parts(), {"$Z_1$": SQUARE, "$Z_2$": SQUARE + 0.5}, [SQUARE], normals=True
    ),
    "large": lambda: plots.hypersurface_and_dual(
        {"folds": (segments(150), segments(150)), "boundary": (segments(30), segments(30))}
    ),
}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_small_well_formed_and_labelled(name):
    figure = FIGURES[name]()
    drawing = plots.svg(figure, "What the picture shows, in a sentence.")
    assert ET.fromstring(drawing).get("role") == "img"
    assert "#000000" not in drawing
    assert "#ffffff" not in drawing
    assert len(drawing) < 100_000
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert axes.get_title()


def test_every_part_is_drawn_in_both_panels_and_named_once():
    figure = FIGURES["zonotopes"]()
    for axes in figure.axes:
        drawn = [c for c in axes.collections if isinstance(c, LineCollection)]
        assert [len(c.get_paths()) for c in drawn] == [4, 3]
    assert legend(figure) == ["area of ties", "folds", "boundary", "$Z_1$", "$Z_2$"]


def test_normals_point_along_the_segments():
    given = parts()
    figure = plots.hypersurface_and_dual(given, normals=True)
    (arrows,) = (c for c in figure.axes[1].collections if hasattr(c, "U"))
    directions = given["boundary"][0].mean(axis=1)
    cross = directions[:, 0] * arrows.V - directions[:, 1] * arrows.U
    np.testing.assert_allclose(cross, 0, atol=1e-12)
    assert ((directions * np.column_stack([arrows.U, arrows.V])).sum(axis=1) > 0).all()


def test_areas_are_filled_in_each_panel():
    figure = FIGURES["panels"]()
    for axes in figure.axes:
        assert [type(c) for c in axes.collections].count(PolyCollection) == 1
    assert legend(figure) == ["area of ties", "folds", "boundary"]
