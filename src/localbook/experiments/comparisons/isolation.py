"""The first experiment: back-propagation, plain local learning and SGR on one small network."""

from collections.abc import Mapping
from dataclasses import dataclass

from localbook.data import Augment, DeviceImages
from localbook.experiments.comparisons.compare import Candidate, compare
from localbook.experiments.harness import Experiment
from localbook.local import BP, SGR, ConvNet, IsolatedNetwork, PlainLocal, Rule, Schedule


@dataclass(frozen=True)
class IsolationSetting:
    """One comparison of learning rules at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    model : ConvNet
    schedule : Schedule
        Its ``lr`` stands only until tuning replaces it.
    candidates : mapping of method to tuple of dict
        The hyper-parameters tried for each method, as many for each; a method with one candidate
        is not tuned.
    tuning_epochs : int
        How long each candidate is trained before it is judged on the validation split.
    seeds : int
        How many seeds the chosen candidate is run with.
    """

    data: str
    model: ConvNet
    schedule: Schedule
    candidates: Mapping[str, tuple[Candidate, ...]]
    tuning_epochs: int
    seeds: int

    @property
    def methods(self) -> tuple[str, ...]:
        """Those with candidates, in their order."""
        return tuple(self.candidates)

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return the candidates of a method."""
        return self.candidates[method]

    def network(self, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
        """Return the network, the same for all methods."""
        classes = int(data.labels.max()) + 1
        return self.model.build(data.images.shape[1], classes, seed).to(data.labels.device)

    def rule(self, method: str, candidate: Candidate) -> Rule:
        """Return the rule; λ is the candidate's ``weight``."""
        if method == "sgr":
            return SGR(weight=candidate["weight"])
        return BP() if method == "bp" else PlainLocal()


_COLOUR = Augment(crop=4, flip=True)
# Six candidates for each method; a first scan on the validation split placed the best learning
# rates inside this range. SGR has λ to choose as well and so tries fewer learning rates.
_RATES: tuple[Candidate, ...] = tuple({"lr": lr} for lr in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6))
_TUNED = {
    "bp": _RATES,
    "local": _RATES,
    "sgr": tuple({"lr": lr, "weight": w} for lr in (0.4, 0.8) for w in (1.0, 10.0, 100.0)),
}

_PROFILES: Mapping[str, IsolationSetting] = {
    "quick": IsolationSetting(
        data="digits",
        model=ConvNet((16,) * 6, (1, 1, 2, 1, 1, 1)),
        schedule=Schedule(epochs=12, batch_size=64, lr=0.05),
        candidates={
            "bp": ({"lr": 0.05},),
            "local": ({"lr": 0.05},),
            "sgr": ({"lr": 0.05, "weight": 3.0},),
        },
        tuning_epochs=0,
        seeds=3,
    ),
    "cpu": IsolationSetting(
        data="cifar10",
        model=ConvNet((16, 32, 32, 64, 64, 64), (1, 2, 1, 2, 1, 1)),
        schedule=Schedule(epochs=4, batch_size=128, lr=0.1, augment=_COLOUR),
        candidates=_TUNED,
        tuning_epochs=1,
        seeds=3,
    ),
    "gpu": IsolationSetting(
        data="cifar10",
        model=ConvNet((64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1)),
        schedule=Schedule(epochs=60, batch_size=256, lr=0.1, augment=_COLOUR),
        candidates=_TUNED,
        tuning_epochs=15,
        seeds=5,
    ),
}

GRADIENT_ISOLATION = Experiment(_PROFILES, compare)
