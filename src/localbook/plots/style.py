"""The house style: colours, markers and line widths of every figure."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from matplotlib import style

# Okabe and Ito's colour-blind-safe hues, darkened where needed so that each has a contrast of at
# least 3:1 on white and on the dark theme's background (a test computes it).
PALETTE = {
    "blue": "#0072b2",
    "vermilion": "#d55e00",
    "green": "#009e73",
    "purple": "#c46a9c",
    "ochre": "#b87f00",
}

# Text and axes are drawn in this colour and become CSS's `currentColor`, so they follow the theme.
# No picture may use it for anything else.
FOREGROUND = "#010203"


@contextmanager
def house_style() -> Iterator[None]:
    """Be the context (or decorator) in which every figure is drawn and saved."""
    with style.context(Path(__file__).with_name("house.mplstyle")):
        yield


@dataclass(frozen=True)
class Look:
    """How one method looks in every figure: never by colour alone."""

    label: str
    colour: str
    marker: str
    line: str


METHOD = {
    "bp": Look("back-propagation", PALETTE["blue"], "s", "-"),
    "checkpointed": Look("with checkpointing", PALETTE["purple"], "D", ":"),
    "local": Look("plain local learning", PALETTE["vermilion"], "o", "--"),
    "sgr": Look("SGR", PALETTE["green"], "^", "-."),
}
