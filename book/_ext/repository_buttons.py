"""Buttons that need the repository: from one address, or left out."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config


def choose(app: Sphinx, config: Config) -> None:
    """Turn the theme's buttons on or off by the address in _config.yml."""
    options = config.html_theme_options
    url = (options.get("repository_url") or "").rstrip("/")
    options["repository_url"] = url
    for button in ("repository", "edit_page", "issues"):
        options[f"use_{button}_button"] = bool(url)
    if not url:
        options.pop("launch_buttons", None)
    elif "github.com" not in url:  # Colab opens nothing else
        options.get("launch_buttons", {}).pop("colab_url", None)


def add_jupyterlab(
    app: Sphinx,
    page: str,
    template: str,
    context: dict[str, Any],
    doctree: Any,
) -> None:
    """Offer Binder's JupyterLab beside its single notebook."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "launch-buttons":
            found = (b for b in group["buttons"] if b["text"] == "Binder")
            for binder in list(found):
                lab = binder["url"].replace(
                    "?urlpath=tree/", "?urlpath=lab/tree/"
                )
                new = {
                    "text": "JupyterLab",
                    "tooltip": "Open in JupyterLab on Binder",
                    "icon": "fas fa-flask",
                    "url": lab,
                }
                group["buttons"].append(binder | new)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx, after the theme's own buttons."""
    app.connect("config-inited", choose)
    app.connect("html-page-context", add_jupyterlab, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
