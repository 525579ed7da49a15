"""What docstrings say, as pages show it."""

import pydoc
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

NOTE = re.compile(r"^\.\. (\[\d+\] .*(?:\n   .*)*)", re.MULTILINE)

# A bar is an absolute value, except in what is literal.
BAR = re.compile(
    r"(\.\. math::.*?(?=\n\S|\Z)|>>>.*?(?=\n\n|\Z)|``.*?``|`.*?`)|\|", re.S
)


def plain(
    app: Sphinx,
    what: str,
    name: str,
    value: Any,
    options: Any,
    lines: list[str],
) -> None:
    """Leave bars as they are, and of a footnote its number.

    A page has many footnotes, and each docstring begins at 1.
    """
    text = BAR.sub(lambda m: m[1] or r"\|", "\n".join(lines))
    text = re.sub(r"(\[\d+\])_(?=\W|$)", r"\1", text)
    text = NOTE.sub(lambda m: m[1].replace("\n   ", " ") + "\n", text)
    lines[:] = text.split("\n")


def dash(app: Sphinx, doctree: nodes.document) -> None:
    """Set the dash that stands before what a parameter is."""
    for text in list(doctree.findall(nodes.Text)):
        if text == " -- ":
            text.parent.replace(text, nodes.Text(" – "))


def behind(
    app: Sphinx, env: Any, node: pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """Link a file's name for a thing to where a face shows it, if one does.

    What exists and no face shows is no link; a name of nothing is a fault.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.startswith("localbook."):
        return None
    face, name = target.split(".")[1], target.split(".")[-1]
    entry = env.get_domain("py").objects.get(f"localbook.{face}.{name}")
    if entry:
        page, place, _, _ = entry
        return make_refnode(app.builder, node["refdoc"], page, place, contnode)
    return contnode if pydoc.locate(target) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", plain)
    app.connect("doctree-read", dash)
    app.connect("missing-reference", behind)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
