"""What an interrupted job has done already is not done again: rows and tensors, kept in files."""

import json
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from localbook.arrays import Row
from localbook.errors import ConfigError
from localbook.experiments.harness.changes import plain
from localbook.experiments.harness.job import Job
from localbook.files import whole, write_text


def rows_once(job: Job, name: str, make: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a part of a job: those kept under its name, or else new ones, now kept."""
    path = job.partial / f"{name}.json"
    if path.exists():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            made_by, rows = found["made_by"], list(found["rows"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} cannot be read; delete it to do its part again.") from error
        if made_by != _made_by(job):
            raise ConfigError(
                f"{path} belongs to other settings or other data; delete {path.parent} "
                "to start over, or choose another --out."
            )
        return rows
    rows = make()
    write_text(path, json.dumps({"made_by": _made_by(job), "rows": rows}))
    return rows


def tensors_once(path: Path, device: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the tensors kept in a file, on a device, or else new ones, now kept."""
    if not path.exists():
        with whole(path) as partial:
            torch.save(make(), partial)
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise ConfigError(f"{path} cannot be read; delete it to do its part again.") from error
    return state


def _made_by(job: Job) -> str:
    """Return what decides a row; more seeds do not change those that are done."""
    setting = {k: v for k, v in plain(job.setting).items() if k != "seeds"}
    sources = {split: (part.source, len(part)) for split, part in job.sets.items()}
    return json.dumps([job.method, setting, sources], sort_keys=True)
