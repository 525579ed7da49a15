"""The house in one picture, for CONTRIBUTING.md: rooms as boxes on floors, drawn from the imports.

    python -m tools.house       write book/_static/house.svg

A room stands above all that it uses. An arrow that others imply is left out.
"""

from graphlib import TopologicalSorter
from html import escape
from pathlib import Path

from tools import imports

PICTURE = imports.ROOT / "book" / "_static" / "house.svg"
SOURCE = imports.ROOT / "src" / "localbook"
OPENED = 5  # a part with this many rooms shows them
PAD, HIGH, GAP, RISE, LETTER = 14.0, 30.0, 16.0, 44.0, 7.4
STYLE = """text{font:13px sans-serif;fill:#1b1f24;text-anchor:middle}.part{font-weight:bold}
rect{fill:#fff;stroke:#57606a}.opened{fill:#f1f4f8}path{fill:none;stroke:#57606a;opacity:.55}
marker path{fill:#57606a;opacity:1}.ground{fill:#fff;stroke:none}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#22272e;stroke:#8b949e}
.opened{fill:#161b22}.ground{fill:#0d1117}path,marker path{stroke:#8b949e}
marker path{fill:#8b949e}}"""

Graph = dict[str, set[str]]
Box = tuple[float, float, float, float]  # left, top, width, height


def rooms(path: Path) -> tuple[str, ...]:
    """Return the part that a file of the library belongs to, and the room in it, if any.

    The harness of the experiments is a part: neighbours stand on it, and experiments on them.
    """
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if parts[:2] == ("experiments", "harness"):
        return ("harness",)
    return parts[:2] if len(parts) > 1 and parts[1] != "__init__" else parts[:1]


def graphs() -> tuple[Graph, dict[str, Graph]]:
    """Return which part uses which, and for each part which of its rooms uses which."""
    parts: Graph = {}
    inside: dict[str, Graph] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        part, *room = rooms(path)
        if part in ("__init__", "__main__"):
            continue
        parts.setdefault(part, set())
        if room:
            inside.setdefault(part, {}).setdefault(room[0], set())
        for used in filter(lambda used: used.is_relative_to(SOURCE), imports.uses(path)):
            other, *theirs = rooms(used)
            if other not in (part, "__init__"):
                parts[part].add(other)
            elif other == part and room and theirs and room != theirs:
                inside[part][room[0]].add(theirs[0])
    halls = {p for p, g in inside.items() if sum((SOURCE / p / r).is_dir() for r in g) >= OPENED}
    return parts, {part: inside[part] for part in sorted(halls)}


def floors(graph: Graph) -> list[list[str]]:
    """Return the rooms by floor, the ground first; raises CycleError if they go round."""
    floor: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        floor[name] = 1 + max((floor[used] for used in graph[name]), default=-1)
    return [sorted(n for n in floor if floor[n] == k) for k in range(max(floor.values()) + 1)]


def direct(graph: Graph) -> list[tuple[str, str]]:
    """Return the arrows that no others imply."""
    below: Graph = {}
    for name in TopologicalSorter(graph).static_order():
        below[name] = graph[name].union(*(below[used] for used in graph[name]))
    return [
        (name, used)
        for name in sorted(graph)
        for used in sorted(graph[name] - set().union(*(below[u] for u in graph[name])))
    ]


def place(graph: Graph, sizes: dict[str, tuple[float, float]]) -> tuple[dict[str, Box], Box]:
    """Return where each box stands, floor above floor, and the box around all."""
    rows = floors(graph)[::-1]
    widths = [sum(sizes[n][0] for n in row) + GAP * (len(row) - 1) for row in rows]
    boxes: dict[str, Box] = {}
    top = 0.0
    for row, width in zip(rows, widths, strict=True):
        left, high = (max(widths) - width) / 2, max(sizes[n][1] for n in row)
        for name in row:
            boxes[name] = (left, top + high - sizes[name][1], *sizes[name])
            left += sizes[name][0] + GAP
        top += high + RISE
    return boxes, (0, 0, max(widths), top - RISE)


def draw(parts: Graph, halls: dict[str, Graph]) -> str:
    """Return the picture as SVG."""
    small = {n: (LETTER * len(n) + 2 * PAD, HIGH) for g in (parts, *halls.values()) for n in g}
    inner = {hall: place(graph, small) for hall, graph in halls.items()}
    sizes = small | {h: (b[2] + 2 * PAD, b[3] + 2 * PAD + HIGH) for h, (_, b) in inner.items()}
    boxes, (*_, width, height) = place(parts, sizes)
    drawn = [_arrow(boxes[a], boxes[b]) for a, b in direct(parts)]  # behind the boxes
    for name, (left, top, wide, high) in boxes.items():
        drawn.append(_box(name, left, top, wide, high, "opened" if name in halls else "part"))
        if name in halls:
            rooms_in = {n: (left + PAD + x, top + PAD + HIGH + y, w, h)
                        for n, (x, y, w, h) in inner[name][0].items()}  # fmt: skip
            drawn += [_box(room, *box, "room") for room, box in rooms_in.items()]
            drawn += [_arrow(rooms_in[a], rooms_in[b]) for a, b in direct(halls[name])]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -10 {width + 20:.0f} '
        f'{height + 20:.0f}" role="img" aria-label="The rooms of localbook, each above those it '
        f'uses"><style>{STYLE}</style><defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" '
        'markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6z"/></marker></defs>'
        '<rect class="ground" x="-10" y="-10" width="100%" height="100%"/>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def _box(name: str, left: float, top: float, wide: float, high: float, kind: str) -> str:
    label = escape(name.replace("_", " "))
    return (
        f'<rect class="{kind}" x="{left:.0f}" y="{top:.0f}" width="{wide:.0f}" '
        f'height="{high:.0f}" rx="5"/><text class="{"room" if kind == "room" else "part"}" '
        f'x="{left + wide / 2:.0f}" y="{top + 20:.0f}">{label}</text>'
    )


def _arrow(user: Box, used: Box) -> str:
    x, y = user[0] + user[2] / 2, user[1] + user[3]
    to, end = used[0] + used[2] / 2, used[1]
    middle = (y + end) / 2
    return (
        f'<path marker-end="url(#tip)" d="M{x:.0f} {y:.0f}C{x:.0f} {middle:.0f} '
        f'{to:.0f} {middle:.0f} {to:.0f} {end:.0f}"/>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(*graphs()))
