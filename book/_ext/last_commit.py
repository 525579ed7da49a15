"""Date each page by its last commit, not by the day of the build."""

import json
from typing import Any

from sphinx.application import Sphinx


def date(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: Any,
) -> None:
    """Give the page the date that the builder found for it, or none."""
    dates = json.loads((app.srcdir / "dates.json").read_text())
    context["last_updated"] = dates.get(page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", date)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
