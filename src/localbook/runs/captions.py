"""The line under a recorded figure: where its numbers come from and how to make them again."""

import json
import shlex
from collections.abc import Sequence

from localbook.errors import RecordError
from localbook.runs.record import Record


def caption(records: Sequence[Record]) -> str:
    """Return data, seeds, hardware, versions, commit, date and command of records shown together.

    Parameters
    ----------
    records : sequence of Record
        Of one experiment at one profile, made on the same images.

    Raises
    ------
    RecordError
        If there is none, or they do not belong together.
    """
    groups = {(r.experiment, r.profile, *r.source.values()) for r in records}
    if len(groups) != 1:
        raise RecordError(
            f"a caption describes records of one experiment, profile and data set, "
            f"but these are of {len(groups)}; choose among them with load()."
        )
    first = records[0]
    machines = sorted({_machine(r) for r in records})
    torches = sorted({r.versions["torch"] for r in records})
    commits = sorted({(r.commit or "unknown")[:9] + ("+" if r.dirty else "") for r in records})
    return (
        f"Recorded on {first.source['test']}; {len(first.seeds)} seeds; "
        f"{' and '.join(machines)}; torch {', '.join(torches)}; commit {', '.join(commits)}; "
        f"{max(r.date for r in records)[:10]}. "
        f"Again: {_command(first)}"
    )


def _command(record: Record) -> str:
    """Return the words that run the experiment again, with what was changed of its profile."""
    words = f"localbook run {record.experiment} --profile {record.profile.partition('+')[0]}"
    if data := record.config["setting"].get("data"):
        words += f" --data {data}"
    for name, value in record.config.get("changed", {}).items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += " --set " + shlex.quote(f"{name}={text}")
    return words


def _machine(record: Record) -> str:
    if gpu := record.hardware.get("gpu"):
        return str(gpu)
    n = record.hardware["threads"]
    return f"{record.hardware['cpu']}, {n} thread{'s' if n != 1 else ''}"
