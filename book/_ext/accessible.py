"""Mend what readers, and screen readers, trip over in what docutils writes."""

import re
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

# A line may break after an equation, and what ends its clause would begin the
# next line: the two are kept together.
CLAUSE = re.compile(
    r'(<span class="math[^"]*">(?:(?!</span>).)*</span>[,.;:!?)\]’”]+)', re.S
)

# The space before an exercise's number is inside of its link, and underlined.
SPACED = re.compile(r"(Solution to)(<a [^>]*>) ")


def mend(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: Any,
) -> None:
    """Make entries items of their list; join clauses; move spaces."""
    if body := context.get("body"):
        body = body.replace('role="doc-biblioentry"', 'role="listitem"')
        body = CLAUSE.sub(r'<span class="with-equation">\1</span>', body)
        context["body"] = SPACED.sub(r"\1 \2", body)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", mend)
    app.add_js_file(None, body=UNFOLDED)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
