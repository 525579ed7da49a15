"""The record of a benchmark and its schema; reading and writing."""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localbook.benchmarks.harness.row import NOISY, Row, Target
from localbook.errors import RecordError
from localbook.paths import recorded_benchmarks

GPU = "-gpu"  # ends the name of a record that was made on one


@dataclass(frozen=True)
class Benchmark:
    """What one benchmark measured, and where.

    Attributes
    ----------
    name : str
    noise : float
        The spread of a fixed piece of work that was timed all along, as a share of its median.
    rows : list of Row
    hardware, versions, commit, dirty, date
        As in :class:`localbook.runs.Record`.
    """

    name: str
    noise: float
    rows: list[Row]
    hardware: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    dirty: bool
    date: str

    def __post_init__(self) -> None:
        kinds = {
            "name": str, "noise": float, "rows": list, "hardware": dict, "versions": dict,
            "commit": str | None, "dirty": bool, "date": str,
        }  # fmt: skip
        for key, kind in kinds.items():
            if not isinstance(getattr(self, key), kind):
                raise RecordError(f"the key {key!r} cannot be {getattr(self, key)!r:.60}.")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", self.date):
            raise RecordError(f"the date {self.date!r} must be ISO 8601 in UTC, to the second.")

    @property
    def too_noisy(self) -> bool:
        """Whether the machine was too busy for close calls."""
        return self.noise >= NOISY


def as_json(benchmark: Benchmark) -> str:
    """Return JSON with one line for each row, so that a diff of records can be read."""
    fields = []
    for key, value in dataclasses.asdict(benchmark).items():
        if key == "rows":
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value)
            text = f"[\n{rows}\n ]"
        else:
            text = json.dumps(value, ensure_ascii=False)
        fields.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}"


def from_dict(raw: Any) -> Benchmark:
    """Check a decoded JSON value against the schema and return it as a benchmark.

    Raises
    ------
    RecordError
        Naming what is missing, unknown or of the wrong type.
    """
    fields = _exactly(raw, Benchmark)
    if not isinstance(fields["rows"], list):
        raise RecordError("'rows' must be a list.")
    return Benchmark(**fields | {"rows": [_row(row) for row in fields["rows"]]})


def _row(raw: Any) -> Row:
    fields = _exactly(raw, Row)
    for key in ("value", "low", "high"):
        if not isinstance(fields[key], int | float):
            raise RecordError(f"a row's {key!r} must be a number, not {fields[key]!r:.60}.")
    target = fields["target"]
    return Row(**fields | {"target": Target(**_exactly(target, Target)) if target else None})


def _exactly(raw: Any, kind: type) -> dict[str, Any]:
    """Return a JSON object that has the fields of a dataclass and no others."""
    if not isinstance(raw, dict):
        raise RecordError(f"a {kind.__name__.lower()} must be a JSON object.")
    names = {field.name for field in dataclasses.fields(kind)}
    if missing := sorted(names - raw.keys()):
        raise RecordError(f"a {kind.__name__.lower()} lacks the keys {', '.join(missing)}.")
    if unknown := sorted(raw.keys() - names):
        raise RecordError(f"a {kind.__name__.lower()} has unknown keys {', '.join(unknown)}.")
    return raw


def write(benchmark: Benchmark, folder: str | Path | None = None) -> Path:
    """Write a benchmark to ``<folder>/<name>.json`` in one rename; the book's folder by default."""
    home = Path(folder) if folder is not None else recorded_benchmarks()
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{benchmark.name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(as_json(benchmark) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def read(path: str | Path) -> Benchmark:
    """Read a benchmark and check it.

    Raises
    ------
    RecordError
        Naming the file, if it is missing, damaged or no benchmark.
    """
    try:
        return from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise RecordError(
            f"cannot read the benchmark {path} ({error.strerror}); "
            f"make it with `localbook bench {Path(path).stem}`."
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} is damaged ({error}); restore it or run it again.") from error
    except RecordError as error:
        raise RecordError(f"{path} is not a benchmark: {error}") from error


def load(name: str, folder: str | Path | None = None) -> Benchmark:
    """Read the recorded benchmark of a name, from the book's own folder by default."""
    return read((Path(folder) if folder is not None else recorded_benchmarks()) / f"{name}.json")
