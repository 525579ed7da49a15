"""The first code cell of every notebook, which installs the package where it is missing.

    python -m tools.launch      write the cell into every notebook, after a change of _config.yml

The repository's address stands in one place, `repository` in _config.yml. It is never a bare name
for pip: whoever registered that with an index first would be installed.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
TAGS = ["install", "remove-cell"]  # of no use on the page, where nothing runs
CELL = """\
# Installs localbook where it is missing; a PyTorch that is there is kept.
import importlib.util
import os

if importlib.util.find_spec("localbook") is None:
    url, version = "URL", "VERSION"
    package = f"localbook[book] @ git+{url}@{version}"
    if place := os.environ.get("LOCALBOOK_SOURCE"):  # a wheel or a checkout
        package = f"{place}[book]"
    elif not url:
        raise ModuleNotFoundError(
            "localbook is missing: get a checkout of its repository, and run "
            '`pip install ".[book]"` in it.'
        )
    %pip install --quiet "{package}"
    importlib.invalidate_caches()"""


def repository(config: Path = ROOT / "_config.yml") -> tuple[str, str]:
    """Return the repository's address, empty while it is not settled, and its branch."""
    setting = yaml.safe_load(config.read_text(encoding="utf-8")).get("repository") or {}
    return (setting.get("url") or "").rstrip("/"), setting.get("branch") or "main"


def install_cell(url: str, version: str) -> str:
    """Return the source of the cell that installs a branch or commit where localbook is missing."""
    return CELL.replace("URL", url, 1).replace("VERSION", version, 1)


def commit() -> str | None:
    """Return the checkout's commit, or None outside a repository."""
    try:
        words = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def set_install_cell(node: Any, url: str, version: str) -> bool:
    """Write the cell into a notebook, before all other code; return whether that changed it."""
    source = install_cell(url, version)
    cells = [cell for cell in node.cells if cell.cell_type == "code"]
    if cells and cells[0].get("id") == "install":
        changed: bool = cells[0].source != source
        cells[0].source = source
        return changed
    cell = nbformat.v4.new_code_cell(source, id="install", metadata={"tags": TAGS})
    node.cells.insert(node.cells.index(cells[0]) if cells else len(node.cells), cell)
    for count, code in enumerate((c for c in node.cells if c.cell_type == "code"), start=1):
        code.execution_count = count
        for output in code.outputs:
            if "execution_count" in output:
                output.execution_count = count
    return True


def pin(notebook: Path, config: Path) -> None:
    """Let a notebook that is offered for download install the commit that it comes from."""
    url, branch = repository(config)
    if url:
        node = nbformat.read(notebook, as_version=4)
        set_install_cell(node, url, commit() or branch)
        nbformat.write(node, notebook)


def main() -> int:
    """Write the cell into every notebook; return the exit code."""
    url, branch = repository()
    for path in sorted((ROOT / "book").rglob("*.ipynb")):
        node = nbformat.read(path, as_version=4)
        if ".ipynb_checkpoints" not in path.parts and set_install_cell(node, url, branch):
            nbformat.write(node, path)
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
