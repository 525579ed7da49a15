"""The large comparisons: every rule on deep networks cut into K modules.

On CIFAR-10 with residual networks, and on Tiny ImageNet with a residual network and transformers.
A method is called ``BACKBONE_RULE``, such as ``resnet32_sgr-dgl-k8``.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from localbook.data import Augment, DeviceImages
from localbook.errors import ConfigError
from localbook.experiments.comparisons.compare import compare
from localbook.experiments.comparisons.rules import Method
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.harness import Experiment, fewer_images
from localbook.local import IsolatedNetwork, Rule, Schedule, isolated

_BALANCE = 8  # images in the batch for which memory is balanced; the cuts are the same for more


def _network(setting: Any, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
    """Return the backbone cut into K modules, with the heads that the rule needs."""
    backbone, rule = _parts(method)
    example, _ = data.at(slice(0, _BALANCE))
    example = example.cpu()
    net = isolated(backbone, rule.k, example, data.labels.cpu(), seed=seed)
    return rule.equipped(net, example, seed).to(data.labels.device)


def _rule(method: str, weight: float, modules: int) -> Rule:
    return _parts(method)[1].make(weight)


def _parts(method: str) -> tuple[str, Method]:
    backbone, underscore, rule = method.partition("_")
    if not underscore:
        raise ConfigError(f"unknown method {method!r}; give such as resnet8_sgr-local-k4.")
    return backbone, Method.named(rule)


def _methods(
    backbones: tuple[str, ...], rules: tuple[str, ...], ks: tuple[int, ...]
) -> tuple[str, ...]:
    """Return back-propagation, and every rule with every K, for each backbone."""
    return tuple(
        f"{backbone}_{name}"
        for backbone in backbones
        for name in ("bp", *(f"{rule}-k{k}" for k in ks for rule in rules))
    )


_RULES = ("local", "dgl", "predsim", "infopro")
_ALL = ("greedy", *_RULES, *(f"sgr-{rule}" for rule in _RULES))
_COLOUR = Augment(crop=4, flip=True)
_RATES = (0.05, 0.1, 0.2, 0.4)
_PAIRS = ((0.1, 0.1), (0.1, 1.0), (0.2, 0.1), (0.2, 1.0))  # four as well: equal tuning
# Transformers learn slowly by SGD; all networks of one experiment share an optimiser.
_ADAMW = Schedule(
    epochs=40, batch_size=256, lr=1e-3, weight_decay=0.05, optimiser="adamw", augment=_COLOUR
)
_ADAMW_RATES = (3e-4, 1e-3, 2e-3, 4e-3)
_ADAMW_PAIRS = ((1e-3, 0.1), (1e-3, 1.0), (2e-3, 0.1), (2e-3, 1.0))


_CIFAR10 = {
    "quick": Comparison(
        data="shapes",
        model=None,
        schedule=Schedule(epochs=4, batch_size=25, lr=0.1),
        methods=_methods(("resnet8",), ("greedy", "local", "sgr-local"), (4,)),
        weights=(0.1,),
        seeds=2,
        images=(50, 60, 60),
    ),
    "cpu": Comparison(
        data="cifar10",
        model=None,
        schedule=Schedule(epochs=12, batch_size=50, lr=0.1, augment=_COLOUR),
        methods=(*_methods(("resnet8",), _ALL, (4,)), "resnet8_local-k2", "resnet8_sgr-local-k2"),
        rates=_RATES[:3],
        pairs=_PAIRS[:3],
        tuning_epochs=4,
        seeds=3,
        images=(4_000, 1_000, None),
    ),
    "gpu": Comparison(
        data="cifar10",
        model=None,
        schedule=Schedule(epochs=96, batch_size=256, lr=0.1, augment=_COLOUR),
        methods=_methods(("resnet32",), _ALL, (2, 4, 8, 16))
        + _methods(("resnet110",), ("local", "sgr-local"), (2, 4, 8, 16)),
        rates=_RATES,
        pairs=_PAIRS,
        tuning_epochs=16,
        seeds=3,
    ),
}

_IMAGENET_GPU = Comparison(
    data="tiny-imagenet",
    model=None,
    schedule=_ADAMW,
    methods=_methods(("resnet50", "vit-s", "swin-t"), ("local", "sgr-local"), (2, 3, 4)),
    rates=_ADAMW_RATES,
    pairs=_ADAMW_PAIRS,
    tuning_epochs=6,
    seeds=3,
)
_IMAGENET = {
    "quick": Comparison(
        data="shapes",
        model=None,
        schedule=Schedule(epochs=1, batch_size=25, lr=0.001, optimiser="adamw"),
        methods=_methods(("resnet8", "small-vit"), ("sgr-local",), (2,)),
        weights=(0.1,),
        seeds=1,
        images=(50, 50, 60),
    ),
    "cpu": replace(
        _IMAGENET_GPU,
        schedule=replace(_ADAMW, epochs=8, batch_size=50),
        methods=_methods(("resnet8", "small-vit"), ("local", "sgr-local"), (4,)),
        tuning_epochs=2,
        images=(1_000, 250, None),
        classes=10,
    ),
    "gpu": _IMAGENET_GPU,
}


def _deeper(setting: Comparison) -> Comparison:
    """Return a setting of a deeper network in more modules, where local learning is hardest."""
    return replace(setting, methods=_methods(("resnet20",), ("local", "sgr-local"), (8,)))


def _other_rates(setting: Comparison, rate: float, pair: tuple[float, float]) -> Comparison:
    """Return a setting in which plain learning and SGR are trained at given rates, not tuned."""
    return replace(
        setting,
        methods=("resnet8_local-k4", "resnet8_sgr-local-k4"),
        rates=(rate,),
        pairs=(pair,),
        tuning_epochs=0,
    )


def _experiment(**profiles: Comparison) -> Experiment:
    return Experiment(profiles, partial(compare, rule_of=_rule, network=_network), fewer_images)


CIFAR10 = _experiment(**_CIFAR10)
IMAGENET_SUBSET = _experiment(**_IMAGENET)
CIFAR10_DEPTH = _experiment(
    quick=replace(_deeper(_CIFAR10["quick"]), seeds=1),
    cpu=replace(
        _deeper(_CIFAR10["cpu"]),
        images=(2_000, 1_000, None),
        schedule=replace(_CIFAR10["cpu"].schedule, epochs=10),
        tuning_epochs=2,
    ),
)
# In the records of both experiments validation chose another learning rate for SGR than for plain
# local learning. Here each takes the other's, to tell what comes of the rate and what of the
# penalty.
CIFAR10_RATES = _experiment(
    quick=_other_rates(_CIFAR10["quick"], 0.1, (0.05, 0.1)),
    cpu=_other_rates(_CIFAR10["cpu"], 0.1, (0.05, 0.1)),
)
IMAGENET_RATES = _experiment(
    quick=_other_rates(_IMAGENET["quick"], 0.002, (0.001, 1.0)),
    cpu=_other_rates(_IMAGENET["cpu"], 0.002, (0.001, 1.0)),
)
