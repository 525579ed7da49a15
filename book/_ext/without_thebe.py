"""Keep thebe out of the pages: its script would come from elsewhere."""

from typing import Any

from sphinx.application import Sphinx


def drop(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: Any,
) -> None:
    """Take every script of thebe, inline or not, out of a page."""
    scripts = context["script_files"]
    scripts[:] = [
        s
        for s in scripts
        if "thebe" not in f"{s.filename} {s.attributes}".lower()
    ]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx, after those who add scripts."""
    app.connect("html-page-context", drop, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
