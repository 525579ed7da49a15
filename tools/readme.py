"""The README's table of what the book found, made from the verdicts of its chapters.

``python -m tools.readme`` writes it anew; a test says when it is out of date.
"""

import re
from collections import Counter
from itertools import groupby
from pathlib import Path

import nbformat

from tools import neighbours, trust

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- found: python -m tools.readme -->\n", "<!-- end -->"


def found(root: Path) -> str:
    """Return a row for each claim of the two papers, and one for each neighbour with a chapter."""
    rows = []
    for part in trust.CLAIMS:
        node = nbformat.read(root / "book" / part / "claims.ipynb", as_version=4)
        decided = trust.decided(node, f"{part}/claims.html")
        for claim, some in groupby(decided, key=lambda row: row[0]):
            rows.append((part.replace("-", " "), plain(claim), counted([row[2] for row in some])))
    for paper in neighbours.read(root, root)[1]:
        if paper.verdicts:
            rows.append((paper.name, paper.claim, paper.found))
    return trust.table(("about", "the claim, put shortly", "what we found"), rows)


def plain(text: str) -> str:
    """Return a text of the book with its terms as words."""
    return re.sub(r"\{term\}`([^`<]*?)(?: <[^`]*>)?`", r"\1", text)


def counted(verdicts: list[str]) -> str:
    """Return one verdict as it stands, and several with how often each was given."""
    count = Counter(verdict.strip("*") for verdict in verdicts)
    if len(verdicts) == 1:
        return next(iter(count))
    return ", ".join(f"{verdict} {n}" for verdict, n in count.items())


def renewed(text: str, table: str) -> str:
    """Return the README with another table between its marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}{table}{END}{rest.split(END, 1)[1]}"


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(), found(ROOT)))
