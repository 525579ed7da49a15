"""Learning rules compared on images, at equal tuning."""

from localbook.experiments.comparisons.ablation import (
    SGR_ABLATION,
    SGR_SHARES,
    VARIANTS,
    shuffled_target,
    zero_target,
)
from localbook.experiments.comparisons.boundaries import BOUNDARIES, geometry
from localbook.experiments.comparisons.bp_free import BP_FREE_CIFAR10, BP_FREE_DIGITS
from localbook.experiments.comparisons.compare import compare
from localbook.experiments.comparisons.deep import (
    CIFAR10,
    CIFAR10_DEPTH,
    CIFAR10_RATES,
    IMAGENET_RATES,
    IMAGENET_SUBSET,
)
from localbook.experiments.comparisons.isolation import GRADIENT_ISOLATION
from localbook.experiments.comparisons.regime import (
    SGR_MODULES,
    SGR_REGIME,
    SGR_REGIME_300,
    SGR_REGIME_4000,
    SGR_REGIME_45000,
    SGR_REGIME_DIGITS,
    SGR_REGIME_VECTORS,
)
from localbook.experiments.comparisons.rules import LOSSES, Method
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.comparisons.slices import (
    IMAGE_SLICES,
    boundaries,
    convolutional,
    residual,
    unexplained,
)
from localbook.experiments.comparisons.speed import CIFAR10_SPEED, SOURCE, mirrored

__all__ = [
    "BOUNDARIES",
    "BP_FREE_CIFAR10",
    "BP_FREE_DIGITS",
    "CIFAR10",
    "CIFAR10_DEPTH",
    "CIFAR10_RATES",
    "CIFAR10_SPEED",
    "GRADIENT_ISOLATION",
    "IMAGENET_RATES",
    "IMAGENET_SUBSET",
    "IMAGE_SLICES",
    "LOSSES",
    "SGR_ABLATION",
    "SGR_MODULES",
    "SGR_REGIME",
    "SGR_REGIME_300",
    "SGR_REGIME_4000",
    "SGR_REGIME_45000",
    "SGR_REGIME_DIGITS",
    "SGR_REGIME_VECTORS",
    "SGR_SHARES",
    "SOURCE",
    "VARIANTS",
    "Comparison",
    "Method",
    "boundaries",
    "compare",
    "convolutional",
    "geometry",
    "mirrored",
    "residual",
    "shuffled_target",
    "unexplained",
    "zero_target",
]
