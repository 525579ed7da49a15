import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from localbook import plots
from localbook.errors import ConfigError
from tests.plots.examples import ALT, picture

RNG = np.random.default_rng(0)
PLACES = [RNG.uniform(-3, 3, (60, 2, 2)) for _ in range(4)]


def two_panels(step):
    """Move segments inside a frame of four that stay, so that the limits of the axes do."""
    a, b, c, d = (p * (1 - 0.01 * step) for p in PLACES)
    frame = np.array([[[-3.0, -3], [3, -3]], [[-3, 3], [3, 3]]])
    a, b = np.concatenate([a, frame]), np.concatenate([b, frame])
    return plots.hypersurface_and_dual({"folds": (a, b), "boundary": (c, d)})


def line(step):
    figure = plots.new_figure(3, 2)
    figure.subplots().plot([0, 1], [0, step])
    return figure


@pytest.fixture
def shown(outputs):
    """Return a function that displays a slider and gives what a notebook would get."""

    def show(draw=line, values=(1, 2, 3), **options):
        plots.slider(draw, values, **{"label": "step", "alt": ALT} | options)
        return outputs[-1]["text/html"], outputs[-1]["text/plain"]

    return show


def frames(page):
    return [g for g in picture(page).iter("g") if g.get("class") == "lb-frame"]


def ids(page):
    return re.findall(r'\bid="([^"]+)"', page)


def test_frames_may_hold_images(shown):
    def image(step):
        figure = plots.new_figure(3, 2)
        figure.subplots().imshow([[0, step], [1, 2]])
        return figure

    page, _ = shown(image)
    assert len({ET.tostring(frame) for frame in frames(page)}) == 3
    assert sum(1 for _ in picture(page).iter("image")) == 3
    assert len(set(ids(page))) == len(ids(page))


def test_only_the_start_is_shown_and_the_control_waits_for_the_script(shown):
    page, plain = shown(start=1, note="3 < 4 seeds")
    assert [frame.get("display") for frame in frames(page)] == ["none", None, "none"]
    assert (picture(page).get("role"), picture(page).get("aria-label")) == ("img", ALT)
    assert plain == f"Figure: {ALT}\nSlider: step = 1, 2, 3"
    assert "3 &lt; 4 seeds" in page
    assert len({ET.tostring(frame) for frame in frames(page)}) == 3
    assert not re.search("http|src=|010203", page)  # nothing is loaded from anywhere
    page, _ = shown(label="pruned < 1", start=2)
    assert '<div class="lb-control" hidden>' in page
    control = ET.fromstring(re.search("<input [^>]*>", page)[0].replace(">", "/>"))
    assert {"type": "range", "min": "0", "max": "2", "value": "2"}.items() <= control.attrib.items()
    assert control.get("aria-label") == "pruned < 1"


def test_alt_texts_may_follow_the_value(shown):
    page, plain = shown(alt=lambda step: f"A line that rises to {step} metres.", start=1)
    assert picture(page).get("aria-label") == "A line that rises to 2 metres."
    for step in (1, 2, 3):
        assert f"Figure: A line that rises to {step} metres." in plain.splitlines()
        assert f"rises to {step} metres" in page


def test_ten_frames_of_two_panels_with_240_lines_are_small(shown):
    page, _ = shown(two_panels, range(10))
    assert shown(two_panels, range(10))[0] == page
    assert len(page) < 100_000
    assert len(page) < 2.5 * len(plots.svg(two_panels(0), ALT))


def test_every_line_is_kept_in_every_frame(shown):
    page, _ = shown(two_panels, range(3))
    pieces = {group.get("id"): group for group in picture(page).iter("g") if group.get("id")}

    def lines(element):
        used = pieces.get(element.get("href", "")[1:])
        below = sum(map(lines, element)) + (lines(used) if used is not None else 0)
        # Both panels' segments are drawn this wide, and nothing else but the legend's entries.
        wide = re.search("stroke-width:(1.1|2.4)", element.get("style", ""))
        return below + (element.get("d", "").count("M") if wide else 0)

    assert [lines(frame) for frame in frames(page)] == [2 * (62 + 60) + 2] * 3


def test_figures_of_a_page_do_not_clash_and_refer_to_what_is_there(shown):
    pages = [shown(two_panels, range(2))[0], shown(two_panels, range(3))[0], shown()[0]]
    every = [name for page in pages for name in ids(page)]
    assert len(every) == len(set(every)) > 20
    for page in pages:
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)
        assert {a or b for a, b in used} <= set(ids(page))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"values": ()}, "two or more different values"),
        ({"values": (1, "1")}, "two or more different values"),
        ({"label": " "}, "needs a label"),
        ({"alt": "a line"}, "too short"),
        ({"alt": lambda step: "a line" if step == 2 else ALT}, "too short"),
        ({"start": 3}, "count from 0 to 2"),
        ({"draw": lambda step: None}, "must return a matplotlib Figure"),
        ({"draw": lambda step: plots.new_figure(3 + step, 2)}, "different sizes"),
    ],
)
def test_what_cannot_be_a_slider_is_refused(shown, options, words):
    with pytest.raises(ConfigError, match=words):
        shown(**options)
