"""Mend what a screen reader cannot follow in what docutils writes."""

from typing import Any

from sphinx.application import Sphinx


def mend(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: Any,
) -> None:
    """Make a bibliography's entries items of the list they stand in."""
    if body := context.get("body"):
        context["body"] = body.replace(
            'role="doc-biblioentry"', 'role="listitem"'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
