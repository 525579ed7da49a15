"""Reading and writing run records."""

from pathlib import Path

from localbook.errors import RecordError
from localbook.files import read_json, write_json
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
    return write_json(record, home / f"{record.profile}-{record.method}.json")


def read(path: str | Path) -> Record:
    """Read one record and check it.

    Raises
    ------
    RecordError
        Naming the file, if it is missing, damaged or not a record.
    """
    hint = "`localbook runs list` names those there are."
    return read_json(Path(path), from_dict, "run record", hint)


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

    Examples
    --------
    >>> from localbook import runs
    >>> records = runs.load("gradient-isolation", profile="cpu")
    >>> sorted({record.method for record in records})
    ['bp', 'local', 'sgr']
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
