"""Where localbook keeps data and results.

In a checkout (an editable install) both live below ``data/``. In an installed wheel the recorded
runs ship inside the package, and downloads go below the current folder.
"""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """Return the root of the checkout this package runs from, or None for an installed wheel."""
    root = _PACKAGE.parents[1]
    return root if (root / "_toc.yml").is_file() else None


def data_root() -> Path:
    """Return the folder of downloaded and decoded images: ``$LOCALBOOK_DATA`` or ``data/cache``."""
    chosen = os.environ.get("LOCALBOOK_DATA")
    return Path(chosen) if chosen else (checkout() or Path.cwd()) / "data" / "cache"


def recorded_runs() -> Path:
    """Return the folder of the run records that the book shows."""
    root = checkout()
    return root / "data" / "runs" if root else _PACKAGE / "recorded"


def recorded_benchmarks() -> Path:
    """Return the folder of the recorded benchmarks that the book shows."""
    root = checkout()
    return root / "data" / "benchmarks" if root else _PACKAGE / "recorded_benchmarks"
