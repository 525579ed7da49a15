"""Where a number came from: machine, versions, commit, date."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import localbook
from localbook.paths import checkout

_RECORDS = (":!data/runs", ":!data/benchmarks")  # what is being written is no change of the code


def provenance(device: str = "cpu") -> dict[str, Any]:
    """Return the keys ``hardware``, ``versions``, ``commit``, ``dirty`` and ``date`` of a record.

    Parameters
    ----------
    device : str
        The torch device that did the work.
    """
    import torch
    import torchvision

    hardware: dict[str, Any] = {
        "device": device,
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if device.startswith("cuda"):
        hardware["gpu"] = torch.cuda.get_device_name(device)
    versions = {
        "localbook": localbook.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
    }
    commit, dirty = _commit()
    return {
        "hardware": hardware,
        "versions": versions,
        "commit": commit,
        "dirty": dirty,
        "date": now(),
    }


def now() -> str:
    """Return the time in UTC, to the second, as records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> tuple[str | None, bool]:
    """Return the checkout's commit, and whether tracked or new files outside records differ."""
    root = checkout()
    if root is None:
        return None, False
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", ".", *_RECORDS)
    except (OSError, subprocess.CalledProcessError):  # no git, or not a repository
        return None, False
    return commit, bool(changes)


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603 -- fixed words, no shell
        ["git", "-C", str(root), *words],  # noqa: S607 -- the user's own git
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
