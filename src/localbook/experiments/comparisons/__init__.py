"""Learning rules compared on images, at equal tuning."""

from localbook.experiments.comparisons import ablation, bp_free, deep, isolation, modules, regime
from localbook.experiments.comparisons.ablation import VARIANTS as VARIANTS
from localbook.experiments.comparisons.ablation import shuffled_target as shuffled_target
from localbook.experiments.comparisons.ablation import zero_target as zero_target
from localbook.experiments.comparisons.boundaries import BOUNDARIES
from localbook.experiments.comparisons.boundaries import geometry as geometry
from localbook.experiments.comparisons.compare import compare as compare
from localbook.experiments.comparisons.rules import LOSSES as LOSSES
from localbook.experiments.comparisons.rules import Method as Method
from localbook.experiments.comparisons.setting import Comparison as Comparison
from localbook.experiments.comparisons.slices import IMAGE_SLICES
from localbook.experiments.comparisons.slices import boundaries as boundaries
from localbook.experiments.comparisons.slices import convolutional as convolutional
from localbook.experiments.comparisons.slices import residual as residual
from localbook.experiments.comparisons.slices import unexplained as unexplained
from localbook.experiments.comparisons.speed import CIFAR10_SPEED
from localbook.experiments.comparisons.speed import SOURCE as SOURCE
from localbook.experiments.comparisons.speed import mirrored as mirrored

EXPERIMENTS = {
    "gradient-isolation": isolation.GRADIENT_ISOLATION,
    "sgr-ablation": ablation.SGR_ABLATION,
    "sgr-modules": modules.SGR_MODULES,
    "sgr-modules-10000": modules.SGR_MODULES_10000,
    "sgr-modules-45000": modules.SGR_MODULES_45000,
    "sgr-shares": ablation.SGR_SHARES,
    "sgr-regime": regime.SGR_REGIME,
    "sgr-regime-300": regime.SGR_REGIME_300,
    "sgr-regime-4000": regime.SGR_REGIME_4000,
    "sgr-regime-45000": regime.SGR_REGIME_45000,
    "sgr-regime-digits": regime.SGR_REGIME_DIGITS,
    "sgr-regime-vectors": regime.SGR_REGIME_VECTORS,
    "bp-free-digits": bp_free.BP_FREE_DIGITS,
    "bp-free-cifar10": bp_free.BP_FREE_CIFAR10,
    "cifar10": deep.CIFAR10,
    "cifar10-depth": deep.CIFAR10_DEPTH,
    "cifar10-rates": deep.CIFAR10_RATES,
    "cifar10-speed": CIFAR10_SPEED,
    "imagenet-subset": deep.IMAGENET_SUBSET,
    "imagenet-rates": deep.IMAGENET_RATES,
    "boundaries-by-depth": BOUNDARIES,
    "image-slices": IMAGE_SLICES,
}
