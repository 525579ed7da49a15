"""Tables of run records: mean, standard deviation and number of seeds."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from localbook.errors import RecordError
from localbook.runs.paired import by_seed, paired
from localbook.runs.record import Record

if TYPE_CHECKING:
    import pandas as pd

Summary = dict[str, Any]


def summarise(records: Sequence[Record], metric: str) -> list[Summary]:
    """Return one row for each record: its method and the metric's mean, deviation and count.

    Keys are ``method``, ``mean``, ``sd`` (of the sample; None for one seed) and ``n``.
    """
    if not records:
        raise RecordError("there is no record to compare; run the experiment first.")
    rows = []
    for record in records:
        numbers = list(by_seed(record, metric).values())
        deviation = statistics.stdev(numbers) if len(numbers) > 1 else None
        mean = statistics.fmean(numbers)
        rows.append({"method": record.method, "mean": mean, "sd": deviation, "n": len(numbers)})
    return rows


def compare(
    records: Sequence[Record],
    metrics: Sequence[str] = ("test_accuracy",),
    digits: int = 3,
    *,
    baseline: str | None = None,
    margin: float = 0.0,
) -> str:
    """Return a markdown table of mean ± standard deviation (n seeds), one row a record.

    Parameters
    ----------
    records : sequence of Record
    metrics : sequence of str
        Keys of the rows of ``final``.
    digits : int
    baseline : str, optional
        A method: beside each metric stands the :func:`paired` difference from it, with its 95 %
        interval and the verdict on "higher than the baseline".
    margin : float
        The largest difference that counts as none.

    Raises
    ------
    RecordError
        If a record lacks a metric, or none is of the baseline.

    Examples
    --------
    >>> from localbook import runs
    >>> records = runs.load("gradient-isolation", profile="cpu")
    >>> table = runs.compare(records)
    >>> table.count("±")  # one spread for each method
    3
    """
    columns = {metric: [_cell(row, digits) for row in summarise(records, metric)]
               for metric in metrics}  # fmt: skip
    if baseline is not None:
        base = next((record for record in records if record.method == baseline), None)
        if base is None:
            known = ", ".join(record.method for record in records)
            raise RecordError(f"no record of the baseline {baseline!r}; there are {known}.")
        for metric in metrics:
            columns[f"{metric} over {baseline}"] = [
                "" if record is base else _gain(record, base, metric, margin) for record in records
            ]
    methods = {"method": [record.method for record in records]}
    text: str = tabulate(
        methods | columns, headers="keys", tablefmt="github", disable_numparse=True
    )
    return text


def _cell(row: Summary, digits: int) -> str:
    spread = f" ± {row['sd']:.{digits}f}" if row["sd"] is not None else ""
    return f"{row['mean']:.{digits}f}{spread} (n={row['n']})"


def _gain(record: Record, base: Record, metric: str, margin: float) -> str:
    found = paired(by_seed(record, metric), by_seed(base, metric), margin=margin)
    return f"{found}: {found.verdict}"


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
