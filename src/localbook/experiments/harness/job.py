"""What an experiment is: settings for each profile, and a function that runs one method.

An experiment stands in the file of whoever asks its question, a neighbour's too, and is known by
one line in ``experiments/catalogue.py``. Records, ``localbook run``, ``--set``, ``--resume`` and
``--workers`` then work for it. Four things make one::

    @dataclass(frozen=True)
    class Parity:                                   # 1. its setting, which JSON can hold
        bits: int
        lr: float
        methods: tuple[str, ...] = ("adam", "sgd")
        seeds: int = 5

    def draw(setting: Parity, seed: int) -> dict[str, Samples]:       # 2. its data, by the seed
        ...
        return {"train": Samples(x, y, source), "test": Samples(u, v, source)}

    def measured(job: Job, seed: int) -> tuple[Row, list[Row]]:       # 3. one method, one seed
        splits = job.splits(seed)
        net = fit(mlp(...), splits["train"].x, splits["train"].y, lr=job.setting.lr, seed=seed, ...)
        return {"test_accuracy": accuracy(net, ...)}, []              # its final row, its history

    PARITY = Experiment(                                              # 4. the profiles
        {"quick": Parity(6, 0.01), "cpu": Parity(12, 0.01, seeds=10)},
        each_seed(measured),
        draw=draw,
    )

An experiment on images leaves out ``draw`` and its setting has a field ``data``, the name of an
image set; the splits are then :class:`localbook.data.ImageSet`. Hyper-parameters are chosen by
:func:`localbook.experiments.harness.tune` on data of a seed that no result has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from localbook.arrays import Row


class Setting(Protocol):
    """One experiment at one profile: a frozen dataclass, complete enough to run it again.

    On images it has a field ``data`` as well: the image set, unless another is asked for; and often
    ``images``: at most how many of train, val and test, drawn evenly by class, None for all.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def seeds(self) -> int:
        """How many seeds each method is run with."""

    @property
    def methods(self) -> tuple[str, ...]:
        """In the order in which they are run."""


class Split(Protocol):
    """The data of a split: an :class:`localbook.data.ImageSet`, :class:`Samples`, or your own."""

    @property
    def source(self) -> str:
        """Its exact variant, as records and captions print it."""

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Samples:
    """Data that are no images: arrays or tensors x (N, ...) and y (N, ...), and what they are."""

    x: Any
    y: Any
    source: str = ""

    def __len__(self) -> int:
        return len(self.x)


Draw = Callable[[Any, int], Mapping[str, Split]]
"""From a setting and a seed to the splits, of which one is named ``test``."""


@dataclass(frozen=True)
class Job:
    """One method's part of an experiment.

    Attributes
    ----------
    experiment, profile, method : str
        A profile that was changed has a name such as ``quick+schedule.lr=0.1``.
    setting : Setting
    seeds : list of int
    sets : mapping of split to Split
        Those of image sets; where data are drawn, those of the first seed.
    device : str
        ``"cpu"`` or ``"cuda"``.
    partial : Path
        A folder for unfinished work. What an interrupted job finds there it continues.
    draw : callable, optional
        The experiment's own.
    changed : dict
        The fields that differ from the profile's own, by their names with dots.
    """

    experiment: str
    profile: str
    method: str
    setting: Any
    seeds: list[int]
    sets: Mapping[str, Any]
    device: str
    partial: Path
    draw: Draw | None = None
    changed: Row = field(default_factory=dict)

    def splits(self, seed: int) -> Mapping[str, Any]:
        """Return the data of a seed: images are the same for all."""
        return self.sets if self.draw is None else self.draw(self.setting, seed)


@dataclass(frozen=True)
class Outcome:
    """What a job measured: the part of a run record that only the experiment knows.

    Attributes
    ----------
    history : list of dict
        Rows with key ``seed``, such as one for each epoch.
    final : list of dict
        One row for each seed, in order, with key ``seed``: what the book prints.
    wall_s : float
        Seconds of all seeds together, without tuning.
    chosen : dict
        The hyper-parameters used.
    tuning : list of dict
        The candidates they were chosen from, with their scores on the validation split.
    parameters : int or None
        Of the network, if there is one.
    peak_bytes : int or None
        The most memory allocated on a GPU; None where that was not measured.
    """

    history: list[Row]
    final: list[Row]
    wall_s: float
    chosen: Row = field(default_factory=dict)
    tuning: list[Row] = field(default_factory=list)
    parameters: int | None = None
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Experiment:
    """Settings by profile (``quick``, ``cpu``, ``gpu``), and how one method is run.

    Attributes
    ----------
    profiles : mapping of profile to Setting
    run : callable
        Runs one method with all its seeds; :func:`each_seed` makes one.
    prepare : callable
        From a setting and the image sets of the splits to those that are used, such as
        :func:`fewer_images`.
    draw : callable, optional
        Makes the data from the setting and a seed, in place of an image set.
    """

    profiles: Mapping[str, Setting]
    run: Callable[[Job], Outcome]
    prepare: Callable[[Any, dict[str, Any]], dict[str, Any]] = lambda setting, sets: sets
    draw: Draw | None = None
