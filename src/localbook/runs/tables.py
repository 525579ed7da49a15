"""Tables of run records: mean, standard deviation and number of seeds."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from localbook.errors import RecordError
from localbook.runs.record import Record

if TYPE_CHECKING:
    import pandas as pd

Summary = dict[str, Any]


def summarise(records: Sequence[Record], metric: str) -> list[Summary]:
    """Return one row for each record: its method and the metric's mean, deviation and count.

    Parameters
    ----------
    records : sequence of Record
    metric : str
        A key of the rows of ``final`` whose values are numbers.

    Returns
    -------
    list of dict
        Keys ``method``, ``mean``, ``sd`` (of the sample; None for one seed) and ``n``.

    Raises
    ------
    RecordError
        If there is no record, or one lacks the metric.
    """
    if not records:
        raise RecordError("there is no record to compare; run the experiment first.")
    rows = []
    for record in records:
        values = [row.get(metric) for row in record.final]
        if not all(isinstance(v, int | float) for v in values):
            known = ", ".join(k for k, v in record.final[0].items() if isinstance(v, int | float))
            raise RecordError(
                f"{record.experiment}/{record.method} has no number {metric!r} for every seed; "
                f"it has {known}."
            )
        numbers = [float(v) for v in values if v is not None]
        deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
        rows.append(
            {
                "method": record.method,
                "mean": statistics.fmean(numbers),
                "sd": deviation,
                "n": len(numbers),
            }
        )
    return rows


def compare(
    records: Sequence[Record], metrics: Sequence[str] = ("test_accuracy",), digits: int = 3
) -> str:
    """Return a markdown table of mean ± standard deviation (n seeds), one row a record."""
    lines = ["| method | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    columns = [summarise(records, metric) for metric in metrics]
    for rows in zip(*columns, strict=True):
        cells = [_cell(row, digits) for row in rows]
        lines.append(f"| {rows[0]['method']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Summary, digits: int) -> str:
    spread = f" ± {row['sd']:.{digits}f}" if row["sd"] is not None else ""
    return f"{row['mean']:.{digits}f}{spread} (n={row['n']})"


def table(records: Sequence[Record], part: str = "final") -> "pd.DataFrame":
    """Return the rows of ``final`` or ``history`` of many records as one pandas table.

    Parameters
    ----------
    records : sequence of Record
    part : {"final", "history"}

    Returns
    -------
    pandas.DataFrame
        With the columns ``experiment``, ``profile`` and ``method`` before the rows' own.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise RecordError("tables need pandas; run `pip install pandas`.") from error
    if part not in ("final", "history"):
        raise RecordError(f"part={part!r} must be 'final' or 'history'.")
    return pd.DataFrame(
        {"experiment": r.experiment, "profile": r.profile, "method": r.method} | row
        for r in records
        for row in getattr(r, part)
    )
