"""What every picture keeps: small, in the theme's colours, labelled, with its alt text."""

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from localbook import plots
from localbook.errors import ConfigError
from tests.plots.examples import ALT, PICTURES

# Drawings without axes, and panels that are named instead.
NO_AXES = {"border_diagram", "isolation_diagram", "image_grid", "boundaries_by_module", "circuits"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_readable_in_light_and_dark(name):
    drawing = plots.svg(PICTURES[name](), ALT)
    root = ET.fromstring(drawing)
    assert (root.get("role"), root.get("aria-label")) == ("img", ALT)
    assert "max-width: 100%" in root.get("style")
    for hidden in ("#010203", "#000000", "fill: #ffffff"):  # the theme's colour stands for it
        assert hidden not in drawing
    assert "currentColor" in drawing or name == "image_grid: grey" or name == "image_grid"
    assert len(drawing) < 100_000
    used = {a or b for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', drawing)}
    assert used <= set(re.findall(r'\bid="([^"]+)"', drawing))


@pytest.mark.parametrize("name", [n for n in PICTURES if n.split(":")[0] not in NO_AXES])
def test_axes_are_labelled(name):
    for axes in PICTURES[name]().axes:
        place = axes.get_subplotspec()
        below_another = name.startswith("dependence") and not place.is_last_row()
        assert axes.get_xlabel() or below_another or not axes.axison
        rows = [tick.get_text() for tick in axes.get_yticklabels()]
        assert axes.get_ylabel() or not place.is_first_col() or any(map(str.isalpha, "".join(rows)))


def test_there_is_an_example_of_every_picture():
    others = {"new_figure", "show", "slider", "svg", "turn"}
    assert {n for n in plots.__all__ if n.islower()} - others == {n.split(":")[0] for n in PICTURES}


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("colour", plots.PALETTE.values())
def test_colours_show_on_light_and_dark(colour):
    for background in ("#ffffff", "#121212"):
        dark, light = sorted((luminance(colour), luminance(background)))
        assert (light + 0.05) / (dark + 0.05) >= 3


def test_svg_is_the_same_each_time_and_ids_differ_between_figures():
    first, again = (plots.svg(plots.isolation_diagram(), ALT) for _ in range(2))
    other = plots.svg(plots.isolation_diagram(), ALT + " Another.")
    assert first == again
    ids = [set(re.findall(r'\bid="([^"]+)"', drawing)) for drawing in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_alt_text_is_escaped_and_must_say_something():
    alt = 'a < "b" & then c'
    assert ET.fromstring(plots.svg(plots.isolation_diagram(), alt)).get("aria-label") == alt
    for short in ("", "a plot"):
        with pytest.raises(ConfigError, match="alt text"):
            plots.svg(plots.isolation_diagram(), short)


def test_show_displays_html_and_the_alt_text_and_leaves_matplotlib_as_it_was(outputs):
    before = dict(mpl.rcParams)
    plots.show(plots.isolation_diagram(), ALT, note="from <here>")
    assert dict(mpl.rcParams) == before
    assert outputs[0]["text/plain"] == f"Figure: {ALT}"
    assert "<figcaption>from &lt;here&gt;</figcaption>" in outputs[0]["text/html"]
