"""What in SGR helps: λ, the distance, which modules, and controls without alignment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from localbook.data import Augment, DeviceImages
from localbook.experiments.comparisons.compare import Candidate, compare
from localbook.experiments.harness import Experiment
from localbook.local import SGR, ConvNet, IsolatedNetwork, PlainLocal, Rule, Schedule


def zero_target(gamma: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared length of γ (N, ...): a plain penalty on the gradient.

    The control that asks for small gradients and for no agreement.
    """
    return gamma.square().flatten(1).sum(1).mean()


def shuffled_target(gamma: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of γ (N, ...) to the target of another sample of the batch.

    The control whose targets have the right size and the wrong direction.
    """
    return (gamma - target.roll(1, dims=0)).square().flatten(1).sum(1).mean()


def _on(modules: int, chosen: Callable[[int], bool], weight: float) -> tuple[float, ...]:
    """Return λ for the modules (counted from 1) that are chosen, and 0 for the others."""
    return tuple(weight if chosen(number) else 0.0 for number in range(1, modules + 1))


VARIANTS: Mapping[str, Callable[[float, int], Rule]] = {
    "local": lambda weight, modules: PlainLocal(),
    "squared": lambda weight, modules: SGR(weight),
    "relative": lambda weight, modules: SGR(weight, "relative"),
    "cosine": lambda weight, modules: SGR(weight, "cosine"),
    "one-at-a-time": lambda weight, modules: SGR(weight, modules_per_step=1),
    "early": lambda weight, modules: SGR(_on(modules, lambda n: 2 * n <= modules, weight)),
    "late": lambda weight, modules: SGR(_on(modules, lambda n: 2 * n > modules, weight)),
    "zero-target": lambda weight, modules: SGR(weight, zero_target),
    "shuffled-target": lambda weight, modules: SGR(weight, shuffled_target),
}


@dataclass(frozen=True)
class AblationSetting:
    """The variants of SGR on one network, at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    model : ConvNet
    schedule : Schedule
        With the learning rate of every variant: it is not tuned, λ is.
    weights : tuple of float
        The λ that each variant tries on the validation split, and, under the squared distance, that
        are run one by one as methods ``lambda-...``.
    variants : tuple of str
        Keys of :data:`VARIANTS`.
    tuning_epochs, seeds : int
    """

    data: str
    model: ConvNet
    schedule: Schedule
    weights: tuple[float, ...]
    variants: tuple[str, ...]
    tuning_epochs: int
    seeds: int

    @property
    def methods(self) -> tuple[str, ...]:
        """The variants, each with its best λ, and every λ under the squared distance."""
        return (*self.variants, *(f"lambda-{weight:g}" for weight in self.weights))

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return every λ for a variant, and one where there is nothing to choose."""
        if method == "local":
            weights: tuple[float, ...] = (0.0,)
        elif method in VARIANTS:
            weights = self.weights
        else:
            weights = (float(method.removeprefix("lambda-")),)
        return tuple({"lr": self.schedule.lr, "weight": weight} for weight in weights)

    def network(self, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
        """Return the network, the same for all variants."""
        classes = int(data.labels.max()) + 1
        return self.model.build(data.images.shape[1], classes, seed).to(data.labels.device)

    def rule(self, method: str, candidate: Candidate) -> Rule:
        """Return the variant with the candidate's λ."""
        variant = VARIANTS.get(method, VARIANTS["squared"])
        return variant(candidate["weight"], len(self.model.widths))


_LAMBDAS = (0.1, 1.0, 10.0, 100.0)

SGR_ABLATION = Experiment(
    {
        "quick": AblationSetting(
            data="digits",
            model=ConvNet((8,) * 4, (1, 2, 1, 1)),
            schedule=Schedule(epochs=6, batch_size=64, lr=0.05),
            weights=(3.0,),
            variants=("local", "squared", "zero-target", "shuffled-target"),
            tuning_epochs=0,
            seeds=2,
        ),
        "cpu": AblationSetting(
            data="digits",
            model=ConvNet((16,) * 6, (1, 1, 2, 1, 1, 1)),
            schedule=Schedule(epochs=25, batch_size=64, lr=0.05),
            weights=_LAMBDAS,
            variants=tuple(VARIANTS),
            tuning_epochs=25,
            seeds=5,
        ),
        "gpu": AblationSetting(
            data="cifar10",
            model=ConvNet((64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1)),
            schedule=Schedule(
                epochs=60, batch_size=256, lr=0.2, augment=Augment(crop=4, flip=True)
            ),
            weights=_LAMBDAS,
            variants=tuple(VARIANTS),
            tuning_epochs=15,
            seeds=3,
        ),
    },
    compare,
)
