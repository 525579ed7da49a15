"""Mend what a screen reader cannot follow in what docutils writes."""

from typing import Any

from sphinx.application import Sphinx

# The theme lets the keyboard reach code that scrolls sideways, but looks for
# it only when the window changes its size: what unfolds is looked at as well.
UNFOLDED = """
const folds = "summary, .toggle-button, .toggle > .admonition-title";
addEventListener("click", (click) => {
  if (click.target.closest(folds)) dispatchEvent(new Event("resize"));
});
"""


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
    app.add_js_file(None, body=UNFOLDED)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
