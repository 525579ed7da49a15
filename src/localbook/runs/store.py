"""Reading and writing run records."""

import dataclasses
import json
from pathlib import Path

from localbook.errors import RecordError
from localbook.paths import recorded_runs
from localbook.runs.record import Record, from_dict


def write(record: Record, folder: str | Path | None = None) -> Path:
    """Write a record to ``<folder>/<experiment>/<profile>-<method>.json`` in one rename.

    Parameters
    ----------
    record : Record
    folder : path, optional
        Where records live; the book's own by default.

    Returns
    -------
    Path
        The file.
    """
    home = (Path(folder) if folder is not None else recorded_runs()) / record.experiment
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{record.profile}-{record.method}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(_as_json(record) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def _as_json(record: Record) -> str:
    """Return JSON with one line for each row of history, so that a diff of records can be read."""
    fields = []
    for key, value in dataclasses.asdict(record).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value)
            text = f"[\n{rows}\n ]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        fields.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}"


def read(path: str | Path) -> Record:
    """Read one record and check it.

    Raises
    ------
    RecordError
        Naming the file, if it is missing, damaged or not a record.
    """
    try:
        return from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise RecordError(
            f"cannot read the record {path} ({error.strerror}); `localbook runs list` names those "
            "there are."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is damaged ({error}); restore it or run it again.") from error
    except RecordError as error:
        raise RecordError(f"{path} is not a run record: {error}") from error


def load(
    experiment: str | None = None,
    *,
    profile: str | None = None,
    folder: str | Path | None = None,
) -> list[Record]:
    """Read every record of an experiment (or of all), in the order of their file names.

    Parameters
    ----------
    experiment, profile : str, optional
        Keep only these.
    folder : path, optional
        Where records live; the book's own by default.

    Raises
    ------
    RecordError
        If a file is not a record, or an experiment was named and has no record.
    """
    home = Path(folder) if folder is not None else recorded_runs()
    records = [read(path) for path in sorted(home.glob(f"{experiment or '*'}/*.json"))]
    found = [r for r in records if profile in (None, r.profile)]
    if experiment is not None and not found:
        level = f" at profile {profile!r}" if profile else ""
        raise RecordError(
            f"no record of {experiment!r}{level} in {home}; "
            f"make one with `localbook run {experiment}`."
        )
    return found
