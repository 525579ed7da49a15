"""The house style: colours, markers and line widths of every figure."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
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


LOOKS: Mapping[str, Look] = {
    name: Look(label, PALETTE[colour], marker, line)
    for name, label, colour, marker, line in (
        ("bp", "back-propagation", "blue", "s", "-"),
        ("checkpointed", "with checkpointing", "purple", "D", ":"),
        # Local rules: in one colour with SGR, in others without.
        ("local", "plain local learning", "vermilion", "o", "--"),
        ("greedy", "greedy", "ochre", "p", ":"),
        ("dgl", "DGL", "vermilion", "P", ":"),
        ("predsim", "predsim", "vermilion", "v", ":"),
        ("infopro", "InfoPro", "vermilion", "*", ":"),
        ("sgr", "SGR", "green", "^", "-."),
        ("sgr-local", "SGR", "green", "^", "-."),
        ("sgr-dgl", "SGR on DGL", "green", "X", ":"),
        ("sgr-predsim", "SGR on predsim", "green", "<", ":"),
        ("sgr-infopro", "SGR on InfoPro", "green", "d", ":"),
        # Prunings: of weights, then of neurons.
        ("tropical", "tropical", "vermilion", "o", "-"),
        ("path-l2", "paths, 2-norm", "purple", "p", "--"),
        ("lookahead", "lookahead", "ochre", ">", "-."),
        ("synflow", "SynFlow", "green", "*", "-"),
        ("class-blind", "class-blind", "blue", "s", "--"),
        ("class-uniform", "class-uniform", "green", "^", "-."),
        ("class-distribution", "class-distribution", "purple", "D", ":"),
        ("snip", "SNIP", "ochre", "v", "--"),
        ("torch-l1", "torch, l1", "green", "x", ":"),
        ("tropical-neurons", "tropical, neurons", "vermilion", "P", ":"),
        ("torch-ln", "torch, neurons", "blue", "X", ":"),
    )
}
"""How methods look that more than one figure shows, by the name that records give them."""

_SPARE = (
    *zip(PALETTE.values(), "so^Dv", ("-", "--", "-.", ":", "-"), strict=True),
    *zip(PALETTE.values(), "Px*p<", ("--", "-.", ":", "-", "--"), strict=True),
)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return how each name of a figure looks: as in ``LOOKS``, else unlike the figure's others."""
    by_label = {look.label: look for look in LOOKS.values()}
    known = {name: LOOKS.get(name) or by_label.get(name) for name in names}
    seen = [look for look in known.values() if look]
    unlike = [s for s in _SPARE if s[:2] not in {(look.colour, look.marker) for look in seen}]
    spare = cycle(sorted(unlike, key=lambda s: s[0] in {look.colour for look in seen}))
    return {name: look or Look(name, *next(spare)) for name, look in known.items()}
