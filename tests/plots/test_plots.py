import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from localbook import plots
from localbook.errors import ConfigError

RNG = np.random.default_rng(0)
ALT = "What the picture shows, in a sentence."
FIGURES = {
    "isolation": plots.isolation_diagram,
    "images": lambda: plots.image_grid(RNG.integers(0, 256, (3, 3, 8, 8), np.uint8), "abc"),
    "grey": lambda: plots.image_grid(RNG.integers(0, 256, (2, 1, 8, 8), np.uint8), "ab"),
    "modules": lambda: plots.accuracy_by_module({"bp": RNG.random((3, 4)), "sgr": np.ones((1, 4))}),
    "epochs": lambda: plots.over_epochs({"local": RNG.random((2, 5))}, "discord"),
    "seeds": lambda: plots.seeds_by_method({"accuracy": {"bp": [0.5, 0.6], "sgr": [0.7]}}),
}


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("background", ["#ffffff", "#121212"])
@pytest.mark.parametrize("colour", plots.PALETTE.values())
def test_colours_show_on_light_and_dark(colour, background):
    assert contrast(colour, background) >= 3


def test_methods_differ_in_more_than_colour():
    looks = list(plots.METHOD.values())
    for feature in ("colour", "marker", "line", "label"):
        assert len({getattr(look, feature) for look in looks}) == len(looks)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_well_formed_svg_with_alt_text_in_the_themes_colour(name):
    drawing = plots.svg(FIGURES[name](), ALT)
    root = ET.fromstring(drawing)
    assert root.get("role") == "img"
    assert root.get("aria-label") == ALT
    assert "max-width: 100%" in root.get("style")
    assert "#010203" not in drawing
    assert "#000000" not in drawing  # black would vanish on a dark page
    assert ("currentColor" in drawing) or name in ("images", "grey")
    assert len(drawing) < 100_000


def test_axes_are_labelled():
    for name in ("modules", "epochs", "seeds"):
        for axes in FIGURES[name]().axes:
            assert axes.get_ylabel()
            assert axes.get_xlabel() or name == "seeds"  # there the ticks name the methods


def test_svg_is_the_same_each_time_and_ids_differ_between_figures():
    first, again = (plots.svg(plots.isolation_diagram(), ALT) for _ in range(2))
    other = plots.svg(plots.isolation_diagram(), ALT + " Another.")
    assert first == again
    ids = [set(re.findall(r'\bid="([^"]+)"', drawing)) for drawing in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_every_reference_has_its_id():
    drawing = plots.svg(FIGURES["modules"](), ALT)
    used = set(re.findall(r'href="#([^"]+)"', drawing)) | set(
        re.findall(r"url\(#([^)]+)\)", drawing)
    )
    assert used <= set(re.findall(r'\bid="([^"]+)"', drawing))


def test_alt_text_is_escaped():
    assert (
        ET.fromstring(plots.svg(plots.isolation_diagram(), 'a < "b" & then c')).get("aria-label")
        == 'a < "b" & then c'
    )


@pytest.mark.parametrize("alt", ["", "a plot"])
def test_alt_text_must_say_something(alt):
    with pytest.raises(ConfigError, match="alt text"):
        plots.svg(plots.isolation_diagram(), alt)


def test_show_displays_html_and_the_alt_text(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    plots.show(plots.isolation_diagram(), ALT, note="from <here>")
    assert shown[0]["text/plain"] == f"Figure: {ALT}"
    assert "<figcaption>from &lt;here&gt;</figcaption>" in shown[0]["text/html"]


def test_drawing_leaves_matplotlib_as_it_was():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.svg(plots.isolation_diagram(), ALT)
    assert dict(mpl.rcParams) == before
