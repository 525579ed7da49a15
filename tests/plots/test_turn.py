import json
import re
from itertools import product

import numpy as np
import pytest

from localbook import plots, tropical
from localbook.errors import ConfigError
from tests.plots.examples import picture

ALT = "A cube that can be turned about."
CUBE = np.array(list(product((0.0, 1.0), repeat=3)))
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
FACES = [np.array(quad) for quad in QUADS]


def cube(**options):
    return plots.Body("a cube", CUBE, FACES, **options)


@pytest.fixture
def shown(outputs):
    """Return a function that displays bodies and gives the page."""

    def show(*bodies, alt=ALT, **options):
        plots.turn(bodies, alt=alt, **options)
        assert outputs[-1]["text/plain"] == f"Figure: {alt}"
        return outputs[-1]["text/html"]

    return show


def polygons(page):
    return [
        np.array([pair.split(",") for pair in p.get("points").split()], dtype=float)
        for p in picture(page).iter("polygon")
    ]


def area(corners):
    x, y = corners.T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_a_solid_shows_the_faces_of_its_near_side_and_they_tile_its_outline(shown):
    faces = polygons(shown(cube()))
    assert len(faces) == 3
    # Counter-clockwise from outside is clockwise where y points down.
    assert all(area(face) < 0 for face in faces)
    # A unit cube has the area |d_1| + |d_2| + |d_3| seen along a unit vector d.
    azimuth, elevation = np.radians([35, 22])
    level = np.cos(elevation) * (np.cos(azimuth) + np.sin(azimuth))
    side = 165 / np.sqrt(3 / 4)
    assert -sum(map(area, faces)) == pytest.approx(side**2 * (level + np.sin(elevation)), rel=0.005)


def test_a_translucent_body_shows_both_sides_the_far_one_first(shown):
    page = shown(cube(translucent=True))
    fills = [p.get("fill") for p in picture(page).iter("polygon")]
    assert fills[:3] == ["none"] * 3
    assert len(set(fills[3:])) == 3  # each face is lit in its own way
    assert len(fills) == 6


def test_a_solid_inside_a_translucent_body_is_drawn_between_its_sides(shown):
    inner = plots.Body("inner", 0.25 + CUBE / 2, FACES, "vermilion")
    page = shown(cube(translucent=True), inner)
    kinds = [p.get("fill-opacity") or p.get("fill")[:3] for p in picture(page).iter("polygon")]
    assert kinds == ["non"] * 3 + ["rgb"] * 3 + [".3"] * 3


def test_far_solids_are_drawn_before_near_ones(shown):
    behind = plots.Body("behind", CUBE - [3, 2, 1], FACES, "green")
    page = shown(cube(), behind)
    colours = [p.get("stroke") for p in picture(page).iter("polygon")]
    assert colours == [colours[0]] * 3 + [colours[-1]] * 3
    assert colours[0] == "rgb(0,79,58)"  # half of green


def test_the_script_has_what_the_picture_was_drawn_from(shown):
    svg = picture(shown(cube(colour="ochre")))
    scene = json.loads(svg.get("data-scene"))
    (solid,) = scene["solids"]
    assert [tuple(face) for face in solid["faces"]] == QUADS
    points = np.array(solid["points"])
    np.testing.assert_allclose(points / np.ptp(points), CUBE - 0.5, atol=1e-3)
    assert solid["rgb"] == [0xB8, 0x7F, 0]


def test_three_hundred_faces_are_small_and_inside_the_picture(shown):
    generators = np.random.default_rng(0).normal(size=(18, 3))
    zonotope = tropical.Zonotope(generators, np.ones(3))
    vertices, faces = zonotope.vertices(), zonotope.faces()
    assert len(faces) == 306
    page = shown(plots.Body("a zonotope", vertices, faces))
    assert len(page) < 60_000
    corners = np.concatenate(polygons(page))
    assert (np.abs(corners) < [220, 190]).all()


def test_it_is_an_image_with_alt_text_that_loads_nothing(shown):
    page = shown(cube(), alt='A "cube" & its axes.', note="x < y", axes=("a", "b", "h < 1"))
    drawing = picture(page)
    assert (drawing.get("role"), drawing.get("aria-label")) == ("img", 'A "cube" & its axes.')
    assert [t.text for t in drawing.iter("text")] == ["a", "b", "h < 1"]
    assert "> a cube</span>" in page
    assert "x &lt; y" in page
    assert not re.search(r"http|src=|\bid=", page)  # nothing is loaded, and nothing could clash
    assert '<div class="lb-control" hidden>' in page


def test_a_flat_body_and_a_point_do_not_break_it(shown):
    square = plots.Body("square", CUBE[:4], [np.array([0, 1, 3, 2])], translucent=True)
    assert len(polygons(shown(square))) == 1
    point = plots.Body("point", np.zeros((3, 3)), [np.arange(3)], translucent=True)
    assert len(polygons(shown(point))) == 1
    assert not re.search(r"\bnan\b", shown(point))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (plots.Body("b", CUBE[:, :2], FACES), "shape"),
        (plots.Body("b", CUBE * np.nan, FACES), "finite"),
        (plots.Body("b", CUBE, []), "three or more rows"),
        (plots.Body("b", CUBE, [np.array([0, 1])]), "three or more rows"),
        (plots.Body("b", CUBE, [np.array([0, 1, 8])]), "three or more rows"),
        (plots.Body("b", CUBE, FACES, "red"), "no colour 'red'; choose of blue"),
    ],
)
def test_what_is_no_body_is_refused(shown, body, words):
    with pytest.raises(ConfigError, match=words):
        shown(body)
    with pytest.raises(ConfigError, match="at least one body"):
        shown()
    with pytest.raises(ConfigError, match="too short"):
        shown(cube(), alt="a cube")
