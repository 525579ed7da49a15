"""The record of a benchmark and its schema; reading and writing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localbook.benchmarks.harness.row import NOISY, Row, Target
from localbook.errors import RecordError
from localbook.files import check_types, exactly, read_json, write_json
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
        check_types(self)

    @property
    def too_noisy(self) -> bool:
        """Whether the machine was too busy for close calls."""
        return self.noise >= NOISY


def from_dict(raw: Any) -> Benchmark:
    """Check a decoded JSON value against the schema and return it as a benchmark."""
    fields = exactly(raw, Benchmark, "benchmark")
    if not isinstance(fields["rows"], list):
        raise RecordError("'rows' must be a list.")
    return Benchmark(**fields | {"rows": [_row(row) for row in fields["rows"]]})


def _row(raw: Any) -> Row:
    fields = exactly(raw, Row, "row")
    for key in ("value", "low", "high"):
        if not isinstance(fields[key], int | float):
            raise RecordError(f"a row's {key!r} must be a number, not {fields[key]!r:.60}.")
    target = fields["target"] and Target(**exactly(fields["target"], Target, "target"))
    return Row(**fields | {"target": target})


def write(benchmark: Benchmark, folder: str | Path | None = None) -> Path:
    """Write a benchmark to ``<folder>/<name>.json`` in one rename; the book's folder by default."""
    home = Path(folder) if folder is not None else recorded_benchmarks()
    return write_json(benchmark, home / f"{benchmark.name}.json")


def read(path: str | Path) -> Benchmark:
    """Read a benchmark and check it.

    Raises
    ------
    RecordError
        Naming the file, if it is missing, damaged or no benchmark.
    """
    hint = f"make it with `localbook bench {Path(path).stem}`."
    return read_json(Path(path), from_dict, "benchmark", hint)


def load(name: str, folder: str | Path | None = None) -> Benchmark:
    """Read the recorded benchmark of a name, from the book's own folder by default."""
    return read((Path(folder) if folder is not None else recorded_benchmarks()) / f"{name}.json")
