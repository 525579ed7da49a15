"""What an interrupted job has done already: rows and tensors, written in one rename each."""

import dataclasses
import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.experiments.harness.job import Job


def keep_rows(path: Path, job: Job, rows: list[Row]) -> None:
    """Write rows, with the settings and the data that they belong to."""
    text = json.dumps({"made_by": _made_by(job), "rows": rows})
    _renamed(path, text.encode())


def kept_rows(path: Path, job: Job) -> list[Row]:
    """Return the rows kept there, none if there are none.

    Raises
    ------
    ConfigError
        If the file cannot be read, or belongs to other settings or other images.
    """
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        made_by, rows = found["made_by"], list(found["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read; delete it to do its part again.") from error
    if made_by != _made_by(job):
        raise ConfigError(
            f"{path} belongs to other settings or other images; delete {path.parent} "
            "to start over, or choose another --out."
        )
    return rows


def keep_tensors(path: Path, state: dict[str, Any]) -> None:
    """Write tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def kept_tensors(path: Path, device: str) -> dict[str, Any] | None:
    """Return the tensors kept there, on a device; None if there are none.

    Raises
    ------
    ConfigError
        If the file cannot be read.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise ConfigError(f"{path} cannot be read; delete it to do its part again.") from error
    return state


def _renamed(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _made_by(job: Job) -> str:
    """Return what decides a row; more seeds do not change those that are done."""
    setting = {k: v for k, v in dataclasses.asdict(job.setting).items() if k != "seeds"}
    sources = {split: (images.source, len(images)) for split, images in job.sets.items()}
    return json.dumps([job.method, setting, sources], sort_keys=True)
