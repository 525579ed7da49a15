"""Link the library's names in code cells to the reference."""

import ast
import re
from collections.abc import Iterator
from html import escape, unescape
from typing import Any

from sphinx.application import Sphinx

CELL = re.compile(
    r'(<div class="highlight-i?python3? .*?<pre>)(.*?)(</pre>)', re.S
)


def link(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: Any,
) -> None:
    """Make a link of the first use of each name on a page."""
    known = app.env.get_domain("py").objects  # type: ignore[attr-defined]
    called: dict[str, str] = {}  # what a name of the page's code is in full
    linked: set[str] = set()

    def cell(match: re.Match[str]) -> str:
        before, code, after = match.groups()
        source = unescape(re.sub("<[^>]*>", "", code))
        targets = {}
        for place, full in sorted(uses(source, called)):
            if full in known and full not in linked:
                linked.add(full)
                entry = known[full]
                uri = app.builder.get_relative_uri(page, entry.docname)
                targets[place] = f"{uri}#{entry.node_id}", full
        return before + with_links(code, targets) + after

    context["body"] = CELL.sub(cell, context.get("body", ""))


def uses(source: str, called: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield each use of a name that was imported: its offset, and in full."""
    kernels = r"^(\s*)[%!].*$"  # magics and shell commands
    try:
        tree = ast.parse(re.sub(kernels, r"\1pass", source, flags=re.M))
    except SyntaxError:
        return
    lines = source.splitlines(keepends=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for one in node.names:
                called[one.asname or one.name] = f"{node.module}.{one.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            first, *parts = ast.unparse(node).split(".")
            row = (node.end_lineno or 1) - 1
            ahead = lines[row].encode()[: node.end_col_offset].decode()
            end = sum(map(len, lines[:row])) + len(ahead)
            name = ".".join([called.get(first, ""), *parts])
            yield end - len(parts[-1] if parts else first), name


def with_links(code: str, targets: dict[int, tuple[str, str]]) -> str:
    """Make links of the names that stand at some offsets of the text."""
    offset, pieces = 0, []
    for piece in re.split("(<[^>]*>)", code):
        if not piece.startswith("<"):
            if offset in targets and piece:
                uri, full = targets.pop(offset)
                offset += len(piece)
                pieces.append(
                    f'<a class="code-link" href="{uri}" '
                    f'title="{escape(full)}">{piece}</a>'
                )
                continue
            offset += len(unescape(piece))
        pieces.append(piece)
    return "".join(pieces)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
