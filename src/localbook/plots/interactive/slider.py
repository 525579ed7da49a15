"""A figure that follows a slider, in the page itself: no kernel, no network, no third party."""

import html
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from localbook.errors import ConfigError
from localbook.plots.figure import check_alt, drawing
from localbook.plots.interactive.frames import stack

Value = TypeVar("Value")

_SCRIPT = Path(__file__).with_name("slider.js")


def slider(
    draw: Callable[[Value], Figure],
    values: Sequence[Value],
    *,
    label: str,
    alt: str | Callable[[Value], str],
    note: str = "",
    start: int = 0,
) -> None:
    """Display one still picture for each value, and a slider that chooses among them.

    Works in the book's page, JupyterLab and Colab; without JavaScript the picture of ``start``
    stands there alone. Fix the limits of the axes in ``draw``: what frames draw alike is stored
    once, and nothing jumps when the slider moves.

    Parameters
    ----------
    draw : callable
        From a value to its figure, such as a function of this package; all of one size.
    values : sequence
        At least two; shown as ``str`` writes them.
    label : str
        What the values are, such as "training step".
    alt : str or callable
        What is to be seen, for all frames or from a value to its own; see :func:`svg`.
    note : str
        A line below the figure, such as where recorded numbers come from.
    start : int
        Which frame is shown first, and in print.

    Raises
    ------
    ConfigError
        On fewer than two values, values that read alike, a ``start`` outside them, no label, an alt
        text shorter than a sentence, or a ``draw`` that returns no figure or figures of several
        sizes.
    """
    from IPython.display import display

    names = _names_of(values, label)
    if not 0 <= start < len(values):
        raise ConfigError(f"start={start} must count from 0 to {len(values) - 1}.")
    alts = [alt if isinstance(alt, str) else alt(value) for value in values]
    for text in alts:
        check_alt(text)
    picture = stack([drawing(_called(draw, value), "frame") for value in values], start)
    picture.attrib |= {"role": "img", "aria-label": alts[start]}
    picture.set("style", f"max-width:100%;height:auto;{picture.get('style')}")
    own_alts = None if isinstance(alt, str) else alts
    page = _page(picture, names, label, note, start, own_alts)
    lines = [f"Figure: {text}" for text in (own_alts or alts[:1])]
    plain = "\n".join([*lines, f"Slider: {label} = {', '.join(names)}"])
    display({"text/html": page, "text/plain": plain}, raw=True)


def _names_of(values: Sequence[Value], label: str) -> list[str]:
    """Return how the values of a slider read, or refuse them."""
    names = [str(value) for value in values]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ConfigError(f"a slider needs two or more different values, not {names}.")
    if not label.strip():
        raise ConfigError("a slider needs a label that says what its values are.")
    return names


def _called(draw: Callable[[Value], Figure], value: Value) -> Figure:
    """Return the figure of a value, or say that there is none."""
    figure: object = draw(value)
    if not isinstance(figure, Figure):
        raise ConfigError(
            f"draw({value!r}) returned {type(figure).__name__}; it must return a matplotlib Figure."
        )
    return figure


def _page(
    picture: ET.Element,
    names: list[str],
    label: str,
    note: str,
    start: int,
    alts: list[str] | None,
) -> str:
    title = html.escape(label)
    data = html.escape(json.dumps({"names": names, "alts": alts}, ensure_ascii=False))
    caption = f"<figcaption>{html.escape(note)}</figcaption>" if note else ""
    return (
        f'<figure class="lb-figure lb-slider" data-frames="{data}">'
        f"{ET.tostring(picture, encoding='unicode')}"
        f'<div class="lb-control" hidden><label>{title} <input type="range" aria-label="{title}" '
        f'min="0" max="{len(names) - 1}" value="{start}" autocomplete="off" '
        f'style="width:min(50%,22em);vertical-align:middle"> <output aria-live="off"></output>'
        f"</label></div>{caption}<script>{_SCRIPT.read_text()}</script></figure>"
    )
