"""The pictures at the book's door: two networks learn, and their dual polytopes with them.

``python -m tools.door`` trains both and writes ``book/_static/door.html``, which moves, for the
first page, and ``door.svg``, its last moment, for the README.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from localbook import local, tropical
from localbook.arrays import Floats

FOLDER = Path(__file__).resolve().parents[1] / "book" / "_static"
BOX = ((-1.7, 2.7), (-2.0, 2.4))
FAR = ((-1e3, 1e3), (-1e3, 1e3))  # where every piece of a boundary is met
MOMENTS = (*range(0, 40, 4), *range(40, 120, 10), *range(120, 421, 30))
RULES = {
    "back-propagation": local.BP(),
    "no gradient between layers": local.PlainLocal(),
}
SIDE, GAP, HEAD = 400, 60, 50  # of a square, between two, for the words above
STYLE = """path{fill:none;stroke-linecap:round;vector-effect:non-scaling-stroke}
.rest{stroke:#888;stroke-width:.8;stroke-opacity:.7}.line{stroke:#d55e00;stroke-width:2.6}
.hull{fill:#0072b2;fill-opacity:.14;stroke:#0072b2;stroke-width:1.4}
.one{fill:#0072b2}.two{fill:#009e73}text{font:26px sans-serif;text-anchor:middle}"""


@dataclass(frozen=True)
class Moment:
    """What is drawn of a network; pieces have the shape (m, 2, 2).

    Attributes
    ----------
    boundary, folds : ndarray
        The decision boundary, and the rest of the tropical hypersurface, inside the box.
    edges, others : ndarray
        What they are dual to, everywhere.
    outline : ndarray, shape (k, 2)
        Of the dual polytope, the hull of two zonotopes, seen along its last axis.
    """

    boundary: Floats
    folds: Floats
    edges: Floats
    others: Floats
    outline: Floats


def moons() -> tuple[Tensor, Tensor]:
    """Return two half-circles that reach into each other, 60 points each, with labels."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, np.pi, 120)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    label = np.arange(120) % 2
    points[label == 1] = [1.0, 0.4] - points[label == 1]
    points += 0.12 * rng.normal(size=points.shape)
    return torch.from_numpy(points), torch.from_numpy(label)


def training(rule: local.Rule, moments: Sequence[int]) -> Iterator[tropical.ReLUNetwork]:
    """Yield a network of 12 hidden neurons at each moment of its training.

    Its two layers are two modules: by a local rule the first learns from a head of its own.
    """
    x, y = moons()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        hidden = nn.Sequential(nn.Linear(2, 12), nn.ReLU())
        net = local.IsolatedNetwork([hidden, nn.Linear(12, 2)], [nn.Linear(12, 2), nn.Identity()])
    net.double()
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for step in range(max(moments) + 1):
        if step in moments:
            yield tropical.from_torch(nn.Sequential(*hidden, net.local_modules[1]))
        optimiser.zero_grad()
        rule.gradients(net, x, y)
        optimiser.step()


def moment(net: tropical.ReLUNetwork) -> Moment:
    """Return the boundary of a network and what it is dual to, by the theorem."""
    R = tropical.decision_polynomial(net)

    def pieces(box: tuple[tuple[float, float], ...]) -> tuple[Floats, Floats, Floats, Floats]:
        surface = tropical.hypersurface(R, box)
        scores = net(surface.segments.mean(axis=1))
        tie = np.abs(scores[:, 0] - scores[:, 1]) < 1e-9 * (1 + np.abs(scores).max(axis=1))
        edges = R.exponents[surface.pairs]
        return surface.segments[tie], surface.segments[~tie], edges[tie], edges[~tie]

    from_above = np.eye(2, len(tropical.dual_polytope(net).zonotopes[0].shift))
    flat = [z.affine_image(from_above, np.zeros(2)) for z in tropical.dual_polytope(net).zonotopes]
    outline = tropical.hull_of_zonotopes(*flat).vertices
    return Moment(*pieces(BOX)[:2], *pieces(FAR)[2:], outline)


def panel(moments: Sequence[Moment], title: str) -> str:
    """Return one network: its boundary in a square, its polytope beside it, a group a moment."""
    (left, right), (_, high) = BOX
    inputs = SIDE / (right - left)
    size = max(np.ptp(m.outline, axis=0).max() for m in moments)
    exponents = 0.96 * SIDE / size
    x, y = moons()
    dots = "".join(
        f'<circle class="{"two" if label else "one"}" cx="{(u - left) * inputs:.0f}" '
        f'cy="{HEAD + (high - v) * inputs:.0f}" r="5"/>'
        for (u, v), label in zip(x.tolist(), y.tolist(), strict=True)
    )
    frames = []
    for number, m in enumerate(moments):
        middle = (m.outline.min(axis=0) + m.outline.max(axis=0)) / 2
        drawn = [
            ("rest", _path(m.folds, (left, high), inputs, 0, HEAD)),
            ("line", _path(m.boundary, (left, high), inputs, 0, HEAD)),
        ]
        at = (1.5 * SIDE + GAP, HEAD + SIDE / 2)
        drawn += [
            ("hull", _path(m.outline[None], middle, exponents, *at) + "Z"),
            ("rest", _path(m.others, middle, exponents, *at)),
            ("line", _path(m.edges, middle, exponents, *at)),
        ]
        last = "" if number == len(moments) - 1 else ' style="display:none"'
        paths = "".join(f'<path class="{kind}" d="{d}"/>' for kind, d in drawn)
        frames.append(f'<g class="moment"{last}>{paths}</g>')
    words = f'<text x="{SIDE + GAP / 2:.0f}" y="26" fill="currentColor">{title}</text>'
    return words + dots + "\n".join(frames)


def _path(pieces: Floats, origin: Sequence[float], scale: float, x: float, y: float) -> str:
    """Return lines through the points of each piece, shape (m, k, 2), the second axis upwards."""
    places = (pieces - np.asarray(origin)) * scale * [1, -1] + [x, y]
    return "".join(
        "M" + "L".join(f"{u:.0f} {v:.0f}" for u, v in piece.tolist()) for piece in places
    )


def alt(title: str) -> str:
    """Say what is to be seen of one network."""
    return (
        f"Training, {title}: a line bends between two half-circles of points until it parts "
        "them. Beside it a polygon of many cells grows with it; a thick path through the polygon "
        "has one edge, at a right angle, for each piece of the line."
    )


def moving(panels: Mapping[str, str], moments: Sequence[int]) -> str:
    """Return the figure of the first page; what moves is in ``door.js``."""
    view = f"-4 0 {2 * SIDE + GAP + 8} {SIDE + HEAD + 4}"
    pictures = "".join(
        f'<svg role="img" aria-label="{alt(title)}" viewBox="{view}">{drawn}</svg>\n'
        for title, drawn in panels.items()
    )
    return (
        f'<figure class="lb-figure lb-door" data-steps="{",".join(map(str, moments))}">'
        f"<style>{_scoped(STYLE)}</style>\n{pictures}"
        '<div class="lb-control" hidden><button type="button">Play</button> '
        f'<label>step <input type="range" min="0" max="{len(moments) - 1}" '
        f'value="{len(moments) - 1}" aria-label="training step" autocomplete="off"> '
        "<output></output></label></div>"
        '<script src="../_static/door.js"></script></figure>\n'
    )


def _scoped(style: str) -> str:
    """Return the rules for the figure of a page alone."""
    return "".join(f".lb-door svg {rule}}}" for rule in style.replace("\n", "").split("}") if rule)


def still(panels: Mapping[str, str]) -> str:
    """Return the last moment of both networks, on a ground of its own."""
    wide, high = 4 * SIDE + 4 * GAP, SIDE + HEAD + 30
    parts = []
    for k, drawn in enumerate(panels.values()):
        head, *moments = drawn.split('<g class="moment"')
        shown = head + "<g" + moments[-1]
        parts.append(
            f'<g transform="translate({k * (2 * SIDE + 2 * GAP) + GAP // 2} 10)">{shown}</g>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" color="#222" '
        f'role="img" aria-label="{" ".join(map(alt, panels))}"><style>{STYLE}</style>'
        f'<rect width="{wide}" height="{high}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def write(folder: Path, moments: Sequence[int] = MOMENTS) -> None:
    """Train both networks and write both pictures."""
    panels = {
        title: panel([moment(net) for net in training(rule, moments)], title)
        for title, rule in RULES.items()
    }
    (folder / "door.html").write_text(moving(panels, moments))
    (folder / "door.svg").write_text(still(panels))


if __name__ == "__main__":
    write(FOLDER)
