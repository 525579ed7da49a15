"""The map of the neighbours, made when the book is built: papers by what they share.

Papers and kinship come from one table, ``data/neighbours.json``; whether a paper has a chapter,
from the folder; our verdicts, from the tables that the chapters have printed.
"""

import html
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

TABLE = Path("data") / "neighbours.json"
FOLDER = Path("book") / "neighbours"
WORDS = ("seen", "not seen", "reversed", "undecided", "only if")
LEVELS = ("nothing", "an idea", "a question", "an object")
ARXIV = "https://arxiv.org/abs/"

# The picture, in units of its view box; letters are 13 high, and a name is at most 21 of them.
COLUMN, LINE, PAD, LEFT, TOP = 186, 25, 22, 44, 8


@dataclass(frozen=True)
class Paper:
    """One neighbour, how near it is to both parts (0 to 3) and to other papers, and its verdicts.

    ``verdicts`` is None as long as there is no chapter, or counts the words of its table.
    """

    slug: str
    name: str
    title: str
    authors: str
    year: int
    arxiv: str
    street: int
    claim: str
    local: int
    local_why: str
    tropical: int
    tropical_why: str
    kin: Mapping[str, str]
    verdicts: Mapping[str, int] | None = None

    @property
    def found(self) -> str:
        """Say what the chapter found."""
        if self.verdicts is None:
            return "to come"
        return ", ".join(f"{word} {n}" for word, n in self.verdicts.items())


def write(executed: Path, root: Path, folder: Path) -> None:
    """Write map and list into a folder, where the page includes them.

    Parameters
    ----------
    executed : path
        Where the executed notebooks are.
    root : path
        The project, with its table of papers.
    folder : path
    """
    folder.mkdir(parents=True, exist_ok=True)
    streets, papers = read(executed, root)
    (folder / "neighbours-map.md").write_text(drawn(papers, streets))
    (folder / "neighbours-list.md").write_text(listed(papers, streets))
    (folder / "claims-neighbours.md").write_text(decided(executed, papers))
    (folder / "open-neighbours.md").write_text(decided(executed, papers, seen=False))


def decided(executed: Path, papers: Sequence[Paper], *, seen: bool = True) -> str:
    """Return a row for each verdict of each chapter; ``seen`` says whether to keep what was."""
    lines = ["| paper | what was checked | verdict | by what |", "|---|---|---|---|"]
    for paper in (paper for paper in papers if paper.verdicts is not None):
        node = nbformat.read(executed / FOLDER / f"{paper.slug}.ipynb", as_version=4)
        rows = [row for row in _rows(node) if seen or not row[1].startswith(WORDS[0])]
        for number, row in enumerate(rows):
            name = "" if number else f"{{doc}}`{paper.name} </{FOLDER}/{paper.slug}>`"
            lines.append("| " + " | ".join((name, *row)) + " |")
    return "\n".join(lines) + "\n"


def read(executed: Path, root: Path) -> tuple[list[str], list[Paper]]:
    """Return the names of the streets, and the papers with what their chapters found."""
    table = json.loads((root / TABLE).read_text(encoding="utf-8"))
    papers = []
    for row in table["papers"]:
        chapter = executed / FOLDER / f"{row['slug']}.ipynb"
        there = (root / FOLDER / chapter.name).is_file()
        found = verdicts(nbformat.read(chapter, as_version=4), chapter.stem) if there else None
        papers.append(Paper(**row, verdicts=found))
    return table["streets"], papers


def verdicts(node: Any, chapter: str) -> dict[str, int]:
    """Return how often each word stands in the column *verdict* of a chapter's table.

    Raises
    ------
    ValueError
        If there is no such table, or a verdict begins with another word.
    """
    counted = Counter[str]()
    for _, said, *_ in _rows(node):
        word = next((w for w in WORDS if said.startswith(w)), None)
        if word is None:
            words = ", ".join(WORDS)
            raise ValueError(f"{chapter}: the verdict {said!r} begins with none of {words}.")
        counted[word] += 1
    if not counted:
        raise ValueError(f"{chapter}: no cell prints a table with a column 'verdict'.")
    return {word: counted[word] for word in WORDS if counted[word]}


def _rows(node: Any) -> list[tuple[str, str, str]]:
    """Return claim, verdict and the first of the other columns of every row with a verdict."""
    rows = []
    for lines in _tables(node):
        header = _cells(lines[0])
        at = header.index("verdict")
        other = next((i for i in range(1, len(header)) if i != at), None)
        for cells in map(_cells, lines[2:]):
            said = cells[other] if other is not None else ""
            rows.append((cells[0], cells[at].strip("*_ "), said))
    return rows


def _tables(node: Any) -> Iterator[list[str]]:
    """Yield the lines of every printed table that has a column of verdicts."""
    for output in (out for cell in node.cells for out in cell.get("outputs", ())):
        lines = output.get("data", {}).get("text/markdown", "").strip().splitlines()
        if len(lines) > 2 and "verdict" in _cells(lines[0]):
            yield lines


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def listed(papers: Sequence[Paper], streets: Sequence[str]) -> str:
    """Return the list below the map, street by street, to which papers without a chapter lead."""
    parts = []
    for number, street in enumerate(streets, 1):
        parts.append(f"## {street}\n")
        parts += [_entry(paper, papers) for paper in papers if paper.street == number]
        parts.append("")
    return "\n".join(parts)


def _entry(paper: Paper, papers: Sequence[Paper]) -> str:
    name = f"**{paper.name}**"
    if paper.verdicts is not None:
        name = f"{{doc}}`{paper.name} </{FOLDER}/{paper.slug}>`"
    shared = [
        f"with {part}: {why}"
        for part, why in (
            ("local learning", paper.local_why),
            ("tropical geometry", paper.tropical_why),
        )
        if why != LEVELS[0]
    ]
    shared += [f"with *{other.name}*: {what}" for other, what in kin(paper, papers)]
    return (
        f'- <a id="{paper.slug}"></a>{name}. {paper.claim} **Our verdict: {paper.found}.**\n'
        f"  It shares {'; '.join(shared)}.\n"
        f"  {paper.authors} ({paper.year}), *{paper.title}*, "
        f"[arXiv {paper.arxiv}]({ARXIV}{paper.arxiv}).\n"
    )


def kin(paper: Paper, papers: Sequence[Paper]) -> list[tuple[Paper, str]]:
    """Return the papers that a paper is near to, and what both share."""
    return [
        (other, what)
        for other in papers
        if (what := paper.kin.get(other.slug) or other.kin.get(paper.slug))
    ]


def places(papers: Sequence[Paper]) -> tuple[dict[str, tuple[int, int]], list[int]]:
    """Return where each paper's dot lies, and where the rows end, from top to bottom.

    A column for each level of kinship with tropical geometry, a row for each with local learning;
    a row is as high as its fullest cell, so that no name lies on another.
    """
    cells = {
        (row, column): [p.slug for p in papers if (p.local, p.tropical) == (row, column)]
        for row in range(len(LEVELS))
        for column in range(len(LEVELS))
    }
    at: dict[str, tuple[int, int]] = {}
    ends = [TOP]
    for row in reversed(range(len(LEVELS))):
        most = max(len(cells[row, column]) for column in range(len(LEVELS)))
        for column in range(len(LEVELS)):
            some = cells[row, column]
            first = ends[-1] + PAD + (most - len(some)) * LINE // 2
            for i, slug in enumerate(some):
                at[slug] = (LEFT + column * COLUMN + 14, first + i * LINE)
        ends.append(ends[-1] + 2 * PAD + (most - 1) * LINE)
    return at, ends


def drawn(papers: Sequence[Paper], streets: Sequence[str]) -> str:
    """Return the map as HTML: every paper a link with its claim and verdict as its name."""
    at, ends = places(papers)
    right, bottom = LEFT + len(LEVELS) * COLUMN, ends[-1]
    what = (
        f"Map of {len(papers)} papers: the further to the right, the more a paper shares with "
        "tropical geometry; the higher, the more with local learning; lines join papers that "
        "share something with each other. The list below says the same."
    )
    view = f"0 0 {right} {bottom + 48}"
    parts = [f'<svg role="group" aria-label="{what}" viewBox="{view}" class="street">']
    parts += _axes(ends, right)
    parts += [
        _line(at[paper.slug], at[other], f"{paper.slug} {other}")
        for paper in papers
        for other in paper.kin
    ]
    order = sorted(papers, key=lambda p: (-p.local, p.tropical, at[p.slug][1]))
    parts += [_node(paper, *at[paper.slug]) for paper in order]
    legend = "".join(
        f'<li class="street-{number}">{html.escape(name)}</li>'
        for number, name in enumerate(streets, 1)
    )
    return (
        f'<div class="street-map"><ul class="street-legend">{legend}</ul>{"".join(parts)}</svg>'
        '<div class="street-said" hidden>Point at a paper, or go from one to the next with the '
        "Tab key.</div>"
        '<script src="../../_static/neighbours.js"></script></div>\n'
    )


def _axes(ends: Sequence[int], right: int) -> Iterator[str]:
    bottom, middle = ends[-1], (TOP + ends[-1]) // 2
    for i, level in enumerate(LEVELS):
        x, below, above = LEFT + i * COLUMN, ends[-1 - i], ends[-2 - i]
        yield f'<path class="grid" d="M{x} {TOP}V{bottom}M{LEFT} {below}H{right}"/>'
        yield _words("level", level, x + COLUMN // 2, bottom + 18)
        yield _words("level", level, LEFT - 8, (above + below) // 2, turned=True)
    yield _words("axis", "shared with tropical geometry →", (LEFT + right) // 2, bottom + 40)
    yield _words("axis", "shared with local learning →", 14, middle, turned=True)


def _words(kind: str, words: str, x: int, y: int, *, turned: bool = False) -> str:
    turn = " rotate(-90)" if turned else ""
    return f'<text class="{kind}" transform="translate({x} {y}){turn}">{words}</text>'


def _line(one: tuple[int, int], other: tuple[int, int], ends: str) -> str:
    (x, y), (u, v) = one, other
    bend = 22 if x == u else 0  # a line within a column goes around the dots between
    middle = f"{(x + u) // 2 - bend} {(y + v) // 2}"
    return f'<path class="kin" data-ends="{ends}" d="M{x} {y}Q{middle} {u} {v}"/>'


def _node(paper: Paper, x: int, y: int) -> str:
    there = paper.verdicts is not None
    address = f"{paper.slug}.html" if there else f"#{paper.slug}"
    name = html.escape(f"{paper.name}: {paper.claim} Our verdict: {paper.found}.")
    kind = f"street-{paper.street}" + ("" if there else " to-come")
    return (
        f'<a href="{address}" class="{kind}" data-paper="{paper.slug}" aria-label="{name}">'
        f'<circle cx="{x}" cy="{y}" r="6"/><text x="{x + 12}" y="{y + 4}">'
        f"{html.escape(paper.name)}</text></a>"
    )
