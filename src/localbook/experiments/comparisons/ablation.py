"""What in SGR helps: λ, the distance, which modules, and controls without alignment."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from torch import Tensor

from localbook.data import Augment
from localbook.experiments.comparisons.compare import compare
from localbook.experiments.comparisons.rules import by_name
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.harness import Experiment
from localbook.local import SGR, ConvNet, PlainLocal, Rule, Schedule


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
    "squared": lambda weight, modules: SGR(weight, "squared"),
    "relative": lambda weight, modules: SGR(weight, "relative"),
    "cosine": lambda weight, modules: SGR(weight, "cosine"),
    "one-at-a-time": lambda weight, modules: SGR(weight, "squared", modules_per_step=1),
    "quarter-of-samples": lambda weight, modules: SGR(weight, "squared", samples_per_step=0.25),
    "early": lambda w, modules: SGR(_on(modules, lambda n: 2 * n <= modules, w), "squared"),
    "late": lambda w, modules: SGR(_on(modules, lambda n: 2 * n > modules, w), "squared"),
    "zero-target": lambda weight, modules: SGR(weight, zero_target),
    "shuffled-target": lambda weight, modules: SGR(weight, shuffled_target),
}


def _rule(method: str, weight: float, modules: int) -> Rule:
    return by_name(VARIANTS)(_SQUARED.sub("squared", method), weight, modules)


_SQUARED = re.compile("lambda-.*")  # one λ of its own, under the squared distance
_LAMBDAS = (0.1, 1.0, 10.0, 100.0)
_SHARES = ("squared", "one-at-a-time", "quarter-of-samples")  # the last one not under BatchNorm
_LARGE = ConvNet((64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1))
_COLOUR = Augment(crop=4, flip=True)


def _methods(variants: Iterable[str], weights: Iterable[float]) -> tuple[str, ...]:
    return (*variants, *(f"lambda-{weight:g}" for weight in weights))


_CPU = Comparison(
    data="digits",
    model=ConvNet((16,) * 6, (1, 1, 2, 1, 1, 1)),
    schedule=Schedule(epochs=25, batch_size=64, lr=0.05),
    methods=_methods((name for name in VARIANTS if name not in _SHARES[2:]), _LAMBDAS),
    weights=_LAMBDAS,
    tuning_epochs=25,
    seeds=5,
)

# The learning rate is not tuned, λ is; and every λ is run by itself.
SGR_ABLATION = Experiment(
    {
        "quick": replace(
            _CPU,
            model=ConvNet((8,) * 4, (1, 2, 1, 1)),
            schedule=Schedule(epochs=4, batch_size=64, lr=0.05),
            methods=_methods(("local", "squared", "zero-target", "shuffled-target"), (3.0,)),
            weights=(3.0,),
            tuning_epochs=0,
            seeds=2,
        ),
        "cpu": _CPU,
        "gpu": replace(
            _CPU,
            data="cifar10",
            model=_LARGE,
            schedule=Schedule(epochs=60, batch_size=256, lr=0.2, augment=_COLOUR),
            tuning_epochs=15,
            seeds=3,
        ),
    },
    partial(compare, rule_of=_rule),
)

# What it costs in accuracy that only a share of the modules or of the samples pays.
SGR_SHARES = Experiment(
    {
        "quick": replace(
            _CPU,
            model=ConvNet((8,) * 4, (1, 2, 1, 1), norm="none"),
            schedule=Schedule(epochs=6, batch_size=64, lr=0.05),
            methods=("local", *_SHARES),
            weights=(3.0,),
            tuning_epochs=0,
            seeds=2,
        ),
        "cpu": replace(
            _CPU,
            model=ConvNet((16,) * 6, (1, 1, 2, 1, 1, 1), norm="none"),
            methods=("local", *_SHARES),
            seeds=10,
        ),
    },
    partial(compare, rule_of=_rule),
)
