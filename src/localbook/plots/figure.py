"""Figures as inline SVG: they follow the page's theme and carry their alt text."""

import hashlib
import html
import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

from localbook.errors import ConfigError
from localbook.plots.style import FOREGROUND, house_style


@house_style()
def new_figure(width: float = 6.4, height: float = 3.6) -> Figure:
    """Return an empty figure in the house style; ``width`` and ``height`` are in inches.

    It is not known to pyplot, so a notebook shows it once, when :func:`show` does.
    """
    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure, alt: str) -> str:
    """Return a figure as an ``<svg>`` element for an HTML page.

    Parameters
    ----------
    figure : Figure
    alt : str
        What a reader who does not see the picture needs to know.

    Raises
    ------
    ConfigError
        If ``alt`` is shorter than a sentence.
    """
    check_alt(alt)
    label = html.escape(alt, quote=True)
    style = 'style="max-width: 100%; height: auto" '
    marked = f'<svg role="img" aria-label="{label}" {style}'
    return drawing(figure, salt_of(alt)).replace("<svg ", marked, 1)


def check_alt(alt: str) -> None:
    """Refuse an alt text that is shorter than a sentence."""
    if len(alt.split()) < 4:
        raise ConfigError(f"alt text {alt!r} is too short; say in a sentence what is to be seen.")


def salt_of(text: str) -> str:
    """Return what makes the ids of one figure differ from those of the others on a page."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def drawing(figure: Figure, salt: str) -> str:
    """Return a figure as a bare ``<svg>`` element in the theme's colour, its ids salted."""
    with house_style(), mpl.rc_context({"svg.hashsalt": salt}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)  # repeated in every figure, never referred to
    drawn = re.sub(r'id="(DejaVu[^"]*)"', rf'id="{salt}-\1"', drawn)  # glyphs
    drawn = re.sub(r'href="#(DejaVu[^"]*)"', rf'href="#{salt}-\1"', drawn)
    # A tenth of a point is finer than a pixel; six decimals would double the page.
    drawn = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), drawn)
    return drawn.replace(FOREGROUND, "currentColor").strip()


def show(figure: Figure, alt: str, note: str = "") -> None:
    """Display a figure in a notebook.

    Parameters
    ----------
    figure : Figure
    alt : str
        See :func:`svg`.
    note : str
        A line below the figure, such as where recorded numbers come from.
    """
    from IPython.display import display

    caption = f"<figcaption>{html.escape(note)}</figcaption>" if note else ""
    page = f'<figure class="lb-figure">{svg(figure, alt)}{caption}</figure>'
    display({"text/html": page, "text/plain": f"Figure: {alt}"}, raw=True)
