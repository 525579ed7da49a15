"""What every picture keeps."""

import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from localbook import plots


def check_drawing(figure: Figure, alt: str) -> None:
    """Small, well-formed SVG with its alt text, and no colour that a light or dark page hides."""
    drawing = plots.svg(figure, alt)
    assert ET.fromstring(drawing).get("aria-label") == alt
    assert "#000000" not in drawing
    assert "fill: #ffffff" not in drawing
    assert "currentColor" in drawing
    assert len(drawing) < 100_000
