"""What an experiment is: settings for each profile, and a function that runs one method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from localbook.arrays import Row
from localbook.data import ImageSet


class Setting(Protocol):
    """One experiment at one profile: a frozen dataclass, complete enough to run it again."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def data(self) -> str:
        """The image set, unless another is asked for."""

    @property
    def seeds(self) -> int:
        """How many seeds each method is run with."""

    @property
    def methods(self) -> tuple[str, ...]:
        """In the order in which they are run."""


@dataclass(frozen=True)
class Job:
    """One method's part of an experiment.

    Attributes
    ----------
    experiment, profile, method : str
    setting : Setting
        The experiment's own for this profile.
    seeds : list of int
    sets : mapping of split to ImageSet
        Splits ``train``, ``val`` and ``test``.
    device : str
        ``"cpu"`` or ``"cuda"``.
    partial : Path
        A folder for unfinished work. What an interrupted job finds there it continues.
    """

    experiment: str
    profile: str
    method: str
    setting: Any
    seeds: list[int]
    sets: Mapping[str, ImageSet]
    device: str
    partial: Path


@dataclass(frozen=True)
class Outcome:
    """What a job measured: the part of a run record that only the experiment knows.

    Attributes
    ----------
    history : list of dict
        Rows with key ``seed``, such as one for each epoch.
    final : list of dict
        One row for each seed, in order, with key ``seed``: what the book prints.
    chosen : dict
        The hyper-parameters used.
    tuning : list of dict
        The candidates they were chosen from, with their scores on the validation split.
    parameters : int
        Of the network.
    wall_s : float
        Seconds of all seeds together, without tuning.
    peak_bytes : int or None
        The most memory allocated on a GPU; None where that was not measured.
    """

    history: list[Row]
    final: list[Row]
    chosen: Row
    tuning: list[Row]
    parameters: int
    wall_s: float
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Experiment:
    """Settings by profile (``quick``, ``cpu``, ``gpu``), and how one method is run.

    Attributes
    ----------
    profiles : mapping of profile to Setting
    run : callable
        Runs one method with all its seeds.
    prepare : callable
        From a setting and the image sets of the splits to those that are used, such as fewer images
        to train on.
    """

    profiles: Mapping[str, Setting]
    run: Callable[[Job], Outcome]
    prepare: Callable[[Any, dict[str, ImageSet]], dict[str, ImageSet]] = lambda setting, sets: sets
