"""The directive ``cite-this``: CITATION.cff as BibTeX."""

import re
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def bibtex(work: dict[str, Any], key: str) -> str:
    """Return one work of a CITATION.cff file as a BibTeX entry."""
    fields = {
        "title": "{" + work["title"] + "}",
        "author": _authors(work["authors"]),
    }
    if arxiv := _arxiv(work):
        fields |= {"eprint": arxiv, "archiveprefix": "arXiv"}
    fields |= {
        name: str(work[field])
        for name, field in (
            ("year", "year"),
            ("version", "version"),
            ("url", "repository-code"),
        )
        if work.get(field)
    }
    lines = "".join(
        f"  {name} = {{{value}}},\n" for name, value in fields.items()
    )
    return f"@{'misc' if arxiv else 'software'}{{{key},\n{lines}}}"


def _authors(authors: list[dict[str, str]]) -> str:
    """Join authors by "and"; braces keep a group's name whole."""
    return " and ".join(
        "{" + a["name"] + "}"
        if "name" in a
        else f"{a['family-names']}, {a['given-names']}"
        for a in authors
    )


def _arxiv(work: dict[str, Any]) -> str:
    named = (
        re.fullmatch(r"arXiv:(\S+)", i["value"])
        for i in work.get("identifiers", [])
    )
    return next((match[1] for match in named if match), "")


def key_of(work: dict[str, Any]) -> str:
    """Return the key of a paper: its first author and its year."""
    return f"{work['authors'][0]['family-names'].lower()}{work['year']}"


class CiteThis(SphinxDirective):
    """A block of BibTeX that the copy button copies whole."""

    def run(self) -> list[nodes.Node]:
        """Return the block."""
        source = Path(self.env.srcdir) / "CITATION.cff"
        self.env.note_dependency(str(source))
        book = yaml.safe_load(source.read_text())
        papers = book.get("references", [])
        entries = [
            bibtex(book, "localbook"),
            *(bibtex(paper, key_of(paper)) for paper in papers),
        ]
        text = "\n\n".join(entries)
        block = nodes.literal_block(
            text, text, language="bibtex", classes=["cite-this"]
        )
        return [block]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("cite-this", CiteThis)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
