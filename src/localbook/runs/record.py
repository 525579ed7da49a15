"""The run record and its schema."""

from dataclasses import dataclass
from typing import Any

from localbook.arrays import Row
from localbook.errors import RecordError
from localbook.files import check_types, exactly


@dataclass(frozen=True)
class Record:
    """One method's runs in one experiment.

    Attributes
    ----------
    experiment, profile, method : str
    config : dict
        Everything that was chosen, complete enough to run it again, tuning included.
    seeds : list of int
    source : dict
        The exact variant of the data behind each split, as :class:`localbook.data.ImageSet` says.
    sizes : dict
        Numbers of images by split, and of parameters.
    history : list of dict
        Rows with key ``seed``, such as one for each epoch with key ``epoch``.
    final : list of dict
        One row for each seed, with key ``seed``: what the book prints.
    wall_s : float
        Seconds of all seeds together.
    peak_bytes : int or None
        The most memory allocated on a GPU in any run; None where that was not measured.
    hardware, versions : dict
    commit : str or None
        Of the checkout that ran; None outside one.
    dirty : bool
        Whether that checkout had uncommitted changes.
    date : str
        ISO 8601, UTC, when the last seed ended.

    Raises
    ------
    RecordError
        If a value is of the wrong type or the seeds of ``final`` and ``history`` do not fit.
    """

    experiment: str
    profile: str
    method: str
    config: dict[str, Any]
    seeds: list[int]
    source: dict[str, str]
    sizes: dict[str, int]
    history: list[Row]
    final: list[Row]
    wall_s: float
    peak_bytes: int | None
    hardware: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    dirty: bool
    date: str

    def __post_init__(self) -> None:
        check_types(self)
        if [row.get("seed") for row in self.final] != self.seeds or not self.seeds:
            raise RecordError("'final' must have one row for each of 'seeds', in their order.")
        if any(row.get("seed") not in self.seeds for row in self.history):
            raise RecordError("every row of 'history' needs one of the 'seeds'.")


def from_dict(raw: Any) -> Record:
    """Check a decoded JSON value against the schema and return it as a record."""
    fields = exactly(raw, Record, "record")
    wall = fields["wall_s"]
    return Record(**fields | {"wall_s": float(wall) if isinstance(wall, int) else wall})
