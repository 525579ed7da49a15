"""The large comparisons: every rule on deep networks cut into K modules.

On CIFAR-10 with residual networks, and on Tiny ImageNet with a residual network and transformers.
"""

from dataclasses import dataclass, replace

from localbook.data import Augment, DeviceImages, ImageSet, limited, only_classes
from localbook.experiments.comparisons.compare import Candidate, compare
from localbook.experiments.comparisons.rules import Method
from localbook.experiments.harness import Experiment
from localbook.local import IsolatedNetwork, Rule, Schedule, isolated

_BALANCE = 8  # images in the batch for which memory is balanced; the cuts are the same for more


@dataclass(frozen=True)
class DeepSetting:
    """One comparison of learning rules on deep networks, at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    train_images : int or None
        How many images to train on, drawn evenly by class; None for all.
    val_images : int or None
        Likewise, how many to validate on.
    classes : int or None
        How many classes, evenly spaced in the set's order; None for all.
    methods : tuple of str
        ``BACKBONE_RULE``, such as ``resnet32_sgr-dgl-k8``.
    schedule : Schedule
    rates : tuple of float
        Learning rates tried for every rule but those with SGR.
    reconciled : tuple of (float, float)
        Learning rates and λ tried for SGR: as many pairs as there are rates.
    tuning_epochs, seeds : int
    test_images : int or None
        How many images to test on; None for all, as for every record.
    """

    data: str
    train_images: int | None
    val_images: int | None
    classes: int | None
    methods: tuple[str, ...]
    schedule: Schedule
    rates: tuple[float, ...]
    reconciled: tuple[tuple[float, float], ...]
    tuning_epochs: int
    seeds: int
    test_images: int | None = None

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return the candidates of a method."""
        if _parts(method)[1].reconciled:
            return tuple({"lr": lr, "weight": weight} for lr, weight in self.reconciled)
        return tuple({"lr": lr} for lr in self.rates)

    def network(self, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
        """Return the backbone cut into K modules, with the heads that the rule needs."""
        backbone, rule = _parts(method)
        example, _ = data.at(slice(0, _BALANCE))
        example = example.cpu()
        net = isolated(backbone, rule.k, example, data.labels.cpu(), seed=seed)
        return rule.equipped(net, example, seed).to(data.labels.device)

    def rule(self, method: str, candidate: Candidate) -> Rule:
        """Return the rule; λ is the candidate's ``weight``."""
        return _parts(method)[1].make(candidate.get("weight", 0.0))


def _parts(method: str) -> tuple[str, Method]:
    backbone, rule = method.split("_")
    return backbone, Method.named(rule)


def _limit(setting: DeepSetting, sets: dict[str, ImageSet]) -> dict[str, ImageSet]:
    if setting.classes is not None:
        total = len(sets["train"].class_names)
        chosen = [i * total // setting.classes for i in range(setting.classes)]
        sets = {split: only_classes(images, chosen) for split, images in sets.items()}
    limits = {
        "train": setting.train_images,
        "val": setting.val_images,
        "test": setting.test_images,
    }
    return sets | {
        split: limited(sets[split], limit) for split, limit in limits.items() if limit is not None
    }


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
_RECONCILED = ((0.1, 0.1), (0.1, 1.0), (0.2, 0.1), (0.2, 1.0))  # four as well: equal tuning
# Transformers learn slowly by SGD; all networks of one experiment share an optimiser.
_ADAMW = Schedule(
    epochs=40, batch_size=256, lr=1e-3, weight_decay=0.05, optimiser="adamw", augment=_COLOUR
)
_ADAMW_RATES = (3e-4, 1e-3, 2e-3, 4e-3)
_ADAMW_RECONCILED = ((1e-3, 0.1), (1e-3, 1.0), (2e-3, 0.1), (2e-3, 1.0))

_CIFAR10: dict[str, DeepSetting] = {
    "quick": DeepSetting(
        data="shapes",
        train_images=100,
        val_images=60,
        classes=None,
        methods=_methods(("resnet8",), ("greedy", "local", "sgr-local"), (4,)),
        schedule=Schedule(epochs=4, batch_size=25, lr=0.1),
        rates=(0.1,),
        reconciled=((0.1, 0.1),),
        tuning_epochs=0,
        seeds=2,
        test_images=120,
    ),
    "cpu": DeepSetting(
        data="cifar10",
        train_images=4_000,
        val_images=1_000,
        classes=None,
        methods=(*_methods(("resnet8",), _ALL, (4,)), "resnet8_local-k2", "resnet8_sgr-local-k2"),
        schedule=Schedule(epochs=12, batch_size=50, lr=0.1, augment=_COLOUR),
        rates=(0.05, 0.1, 0.2),
        reconciled=_RECONCILED[:3],
        tuning_epochs=4,
        seeds=3,
    ),
    "gpu": DeepSetting(
        data="cifar10",
        train_images=None,
        val_images=None,
        classes=None,
        methods=_methods(("resnet32",), _ALL, (2, 4, 8, 16))
        + _methods(("resnet110",), ("local", "sgr-local"), (2, 4, 8, 16)),
        schedule=Schedule(epochs=96, batch_size=256, lr=0.1, augment=_COLOUR),
        rates=_RATES,
        reconciled=_RECONCILED,
        tuning_epochs=16,
        seeds=3,
    ),
}

CIFAR10 = Experiment(_CIFAR10, compare, _limit)

_IMAGENET: dict[str, DeepSetting] = {
    "quick": DeepSetting(
        data="shapes",
        train_images=50,
        val_images=50,
        classes=None,
        methods=_methods(("resnet8", "small-vit"), ("sgr-local",), (2,)),
        schedule=Schedule(epochs=1, batch_size=25, lr=0.001, optimiser="adamw"),
        rates=(0.001,),
        reconciled=((0.001, 0.1),),
        tuning_epochs=0,
        seeds=1,
        test_images=60,
    ),
    "cpu": DeepSetting(
        data="tiny-imagenet",
        train_images=1_000,
        val_images=250,
        classes=10,
        methods=_methods(("resnet8", "small-vit"), ("local", "sgr-local"), (4,)),
        schedule=replace(_ADAMW, epochs=8, batch_size=50),
        rates=_ADAMW_RATES,
        reconciled=_ADAMW_RECONCILED,
        tuning_epochs=2,
        seeds=3,
    ),
    "gpu": DeepSetting(
        data="tiny-imagenet",
        train_images=None,
        val_images=None,
        classes=None,
        methods=_methods(("resnet50", "vit-s", "swin-t"), ("local", "sgr-local"), (2, 3, 4)),
        schedule=_ADAMW,
        rates=_ADAMW_RATES,
        reconciled=_ADAMW_RECONCILED,
        tuning_epochs=6,
        seeds=3,
    ),
}

IMAGENET_SUBSET = Experiment(_IMAGENET, compare, _limit)


def _deeper(setting: DeepSetting) -> DeepSetting:
    """Return a setting of a deeper network in more modules, where local learning is hardest."""
    return replace(setting, methods=_methods(("resnet20",), ("local", "sgr-local"), (8,)))


CIFAR10_DEPTH = Experiment(
    {
        "quick": replace(_deeper(_CIFAR10["quick"]), seeds=1),
        "cpu": replace(
            _deeper(_CIFAR10["cpu"]),
            train_images=2_000,
            schedule=replace(_CIFAR10["cpu"].schedule, epochs=10),
            tuning_epochs=2,
        ),
    },
    compare,
    _limit,
)


def _other_rates(setting: DeepSetting, rate: float, reconciled: tuple[float, float]) -> DeepSetting:
    """Return a setting in which plain learning and SGR are trained at given rates, not tuned."""
    return replace(
        setting,
        methods=("resnet8_local-k4", "resnet8_sgr-local-k4"),
        rates=(rate,),
        reconciled=(reconciled,),
        tuning_epochs=0,
    )


# In the records of both experiments validation chose another learning rate for SGR than for plain
# local learning. Here each takes the other's, to tell what comes of the rate and what of the
# penalty.
CIFAR10_RATES = Experiment(
    {
        "quick": _other_rates(_CIFAR10["quick"], 0.1, (0.05, 0.1)),
        "cpu": _other_rates(_CIFAR10["cpu"], 0.1, (0.05, 0.1)),
    },
    compare,
    _limit,
)
IMAGENET_RATES = Experiment(
    {
        "quick": _other_rates(_IMAGENET["quick"], 0.002, (0.001, 1.0)),
        "cpu": _other_rates(_IMAGENET["cpu"], 0.002, (0.001, 1.0)),
    },
    compare,
    _limit,
)
