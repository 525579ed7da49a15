"""One comparison of learning rules: the setting that all of them share."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from localbook.errors import ConfigError
from localbook.experiments.comparisons.rules import RATE_SCALE, has_weight
from localbook.local import Compute, Schedule

Candidate = dict[str, float]


class Model(Protocol):
    """The network's form, a frozen dataclass; how it is built is the experiment's."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """Learning rules on one network, or on several, at one profile.

    Attributes
    ----------
    model : Model or None
        None where the methods name their networks.
    schedule : Schedule
        Its ``lr`` is that of all methods whose learning rate is not tuned.
    methods : tuple of str
    rates : tuple of float
        Learning rates tried for every rule without λ, times its ``RATE_SCALE``; that of the
        schedule if there are none.
    pairs : tuple of (float, float)
        Learning rates and λ tried for every other rule: as many as there are rates.
    weights : tuple of float
        λ tried at the schedule's learning rate where there are no pairs.
    tuning_epochs : int
        How long each of several candidates is trained before it is judged on the validation split.
    seeds : int
        How many seeds the chosen candidate is run with.
    classes : int or None
        How many classes, evenly spaced in the set's order; None for all.
    compute : Compute
    slices : int
        Through how many triples of test images geometry is measured, the same for all networks.

    Raises
    ------
    ConfigError
        If there is no λ for a rule that needs one, or several candidates and no epochs to tune in.
    """

    data: str
    model: Model | None
    schedule: Schedule
    methods: tuple[str, ...]
    rates: tuple[float, ...] = ()
    pairs: tuple[tuple[float, float], ...] = ()
    weights: tuple[float, ...] = ()
    tuning_epochs: int = 0
    seeds: int = 3
    images: tuple[int | None, int | None, int | None] = (None, None, None)
    classes: int | None = None
    compute: Compute = field(default_factory=Compute)
    slices: int = 0

    def __post_init__(self) -> None:
        if self.tuning_epochs < 1 and any(len(self.tried(m)) > 1 for m in self.methods):
            raise ConfigError("several candidates need tuning_epochs, at least 1, to be judged.")

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return the candidates of a method; a single one is not tuned."""
        lr = self.schedule.lr
        if not has_weight(method):
            scale = RATE_SCALE.get(method, 1.0)
            return tuple({"lr": round(scale * rate, 12)} for rate in self.rates or (lr,))
        pairs = self.pairs or tuple((lr, weight) for weight in self.weights)
        if method.startswith("lambda-"):
            pairs = ((lr, float(method.removeprefix("lambda-"))),)
        if not pairs:
            raise ConfigError(f"method {method!r} needs a λ: give pairs or weights.")
        return tuple({"lr": rate, "weight": weight} for rate, weight in pairs)

    @property
    def overruled(self) -> dict[str, str]:
        """Return the fields that nothing looks at, each with the reason."""
        found = {"schedule.cycles": "every rule says itself in how many stages it trains"}
        other = replace(self.schedule, lr=2 * self.schedule.lr + 1)
        if all(replace(self, schedule=other).tried(m) == self.tried(m) for m in self.methods):
            found["schedule.lr"] = "rates and pairs say what is tried; set these"
        return found
