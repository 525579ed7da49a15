"""The experiments by name.

``quick`` runs in seconds on embedded images, ``cpu`` in minutes on real ones, and ``gpu`` is for
results on a CUDA device.
"""

from collections.abc import Mapping

from localbook import neighbours
from localbook.errors import ConfigError
from localbook.experiments.attacks import (
    TROPICAL_ATTACK,
    TROPICAL_ATTACK_DEEP,
    TROPICAL_ATTACK_DIGITS,
)
from localbook.experiments.comparisons import (
    BOUNDARIES,
    BP_FREE_CIFAR10,
    BP_FREE_DIGITS,
    CIFAR10,
    CIFAR10_DEPTH,
    CIFAR10_RATES,
    CIFAR10_SPEED,
    GRADIENT_ISOLATION,
    IMAGE_SLICES,
    IMAGENET_RATES,
    IMAGENET_SUBSET,
    SGR_ABLATION,
    SGR_MODULES,
    SGR_REGIME,
    SGR_REGIME_300,
    SGR_REGIME_4000,
    SGR_REGIME_45000,
    SGR_REGIME_DIGITS,
    SGR_REGIME_VECTORS,
    SGR_SHARES,
)
from localbook.experiments.harness import Experiment, Setting
from localbook.experiments.neighbours import (
    ACTIVATING,
    ACTIVATING_RESNET,
    ACTIVATING_VIT,
    AF_KAN,
    AF_KAN_MNIST,
    CONVERGENT_LEARNING,
    CONVEX_TRAINING,
    DEGENERACY,
    DEGENERACY_DIGITS,
    DEGENERACY_MODULES,
    DEPTH_EFFICIENCY,
    DEPTH_EFFICIENCY_SMOLLM2,
    DYNAMICAL_STABILITY,
    FINALMLP,
    FINALMLP_MOVIELENS,
    G2GNET,
    G2GNET_CIFAR10,
    G2GNET_MNIST,
    HOURGLASS,
    HYPERNETWORKS,
    LI2,
    MULTIGRID,
    MULTIGRID_DARCY,
    N2N,
    N2N_STUDENTS,
    NOPROP,
    NOPROP_CIFAR10,
    NOT_ALL_ATTENTION,
    NOT_ALL_ATTENTION_SMOLLM2,
    ONE_LAYER_TRANSFORMER,
    QUADRATIC,
    QUADRATIC_CIRCLE,
    RANDOM_STRUCTURES,
    REPRESENTATIONS_CLUSTERS,
    REPRESENTATIONS_DIGITS,
    REPRESENTATIONS_PHOTOGRAPHS,
    RNN_REVIEW,
    SHALLOW_AGAIN,
    SHALLOW_AGAIN_CIFAR10,
    SHALLOW_AGAIN_DENSE,
    SHALLOW_AGAIN_FOLDS,
    SHALLOW_AGAIN_LOCAL,
    SPARSE_RNN,
    TWO_STREAM,
)
from localbook.experiments.pruning import ALEXNET, DIGITS, MNIST, VGG16
from localbook.experiments.tickets import LOTTERY_TICKETS, LOTTERY_TICKETS_DIGITS

PROFILES = ("quick", "cpu", "gpu")

EXPERIMENTS: Mapping[str, Experiment] = {
    "gradient-isolation": GRADIENT_ISOLATION,
    "sgr-ablation": SGR_ABLATION,
    "sgr-modules": SGR_MODULES,
    "sgr-shares": SGR_SHARES,
    "sgr-regime": SGR_REGIME,
    "sgr-regime-300": SGR_REGIME_300,
    "sgr-regime-4000": SGR_REGIME_4000,
    "sgr-regime-45000": SGR_REGIME_45000,
    "sgr-regime-digits": SGR_REGIME_DIGITS,
    "sgr-regime-vectors": SGR_REGIME_VECTORS,
    "bp-free-digits": BP_FREE_DIGITS,
    "bp-free-cifar10": BP_FREE_CIFAR10,
    "cifar10": CIFAR10,
    "cifar10-depth": CIFAR10_DEPTH,
    "cifar10-rates": CIFAR10_RATES,
    "cifar10-speed": CIFAR10_SPEED,
    "imagenet-subset": IMAGENET_SUBSET,
    "imagenet-rates": IMAGENET_RATES,
    "lottery-tickets": LOTTERY_TICKETS,
    "lottery-tickets-digits": LOTTERY_TICKETS_DIGITS,
    "tropical-attack": TROPICAL_ATTACK,
    "tropical-attack-deep": TROPICAL_ATTACK_DEEP,
    "tropical-attack-digits": TROPICAL_ATTACK_DIGITS,
    "tropical-pruning": DIGITS,
    "tropical-pruning-mnist": MNIST,
    "tropical-pruning-vgg16": VGG16,
    "tropical-pruning-alexnet": ALEXNET,
    "boundaries-by-depth": BOUNDARIES,
    "image-slices": IMAGE_SLICES,
    "activating-while-pruning": ACTIVATING,
    "activating-while-pruning-resnet": ACTIVATING_RESNET,
    "activating-while-pruning-vit": ACTIVATING_VIT,
    "af-kan": AF_KAN,
    "af-kan-mnist": AF_KAN_MNIST,
    "convergent-learning": CONVERGENT_LEARNING,
    "convex-training": CONVEX_TRAINING,
    "degeneracy": DEGENERACY,
    "degeneracy-digits": DEGENERACY_DIGITS,
    "degeneracy-modules": DEGENERACY_MODULES,
    "finalmlp": FINALMLP,
    "finalmlp-movielens": FINALMLP_MOVIELENS,
    "g2gnet": G2GNET,
    "g2gnet-cifar10": G2GNET_CIFAR10,
    "g2gnet-mnist": G2GNET_MNIST,
    "representational-geometry": REPRESENTATIONS_CLUSTERS,
    "representational-geometry-digits": REPRESENTATIONS_DIGITS,
    "representational-geometry-photographs": REPRESENTATIONS_PHOTOGRAPHS,
    "depth-efficiency": DEPTH_EFFICIENCY,
    "depth-efficiency-smollm2": DEPTH_EFFICIENCY_SMOLLM2,
    "dynamical-stability": DYNAMICAL_STABILITY,
    "quadratic": QUADRATIC,
    "quadratic-circle": QUADRATIC_CIRCLE,
    "hourglass": HOURGLASS,
    "hypernetworks": HYPERNETWORKS,
    "li2": LI2,
    "not-all-attention": NOT_ALL_ATTENTION,
    "not-all-attention-smollm2": NOT_ALL_ATTENTION_SMOLLM2,
    "noprop": NOPROP,
    "noprop-cifar10": NOPROP_CIFAR10,
    "one-layer-transformer": ONE_LAYER_TRANSFORMER,
    "multigrid": MULTIGRID,
    "multigrid-darcy": MULTIGRID_DARCY,
    "shallow-again": SHALLOW_AGAIN,
    "shallow-again-cifar10": SHALLOW_AGAIN_CIFAR10,
    "shallow-again-dense": SHALLOW_AGAIN_DENSE,
    "shallow-again-folds": SHALLOW_AGAIN_FOLDS,
    "shallow-again-local": SHALLOW_AGAIN_LOCAL,
    "n2n": N2N,
    "n2n-students": N2N_STUDENTS,
    "rnn-review": RNN_REVIEW,
    "sparse-rnn": SPARSE_RNN,
    "sparse-rnn-structures": RANDOM_STRUCTURES,
    "two-stream-video": TWO_STREAM,
    "xor-grokking": neighbours.xor_grokking.XOR_GROKKING,
}


def setting(experiment: str, profile: str) -> Setting:
    """Return what ``profile`` means for ``experiment``."""
    if experiment not in EXPERIMENTS:
        raise ConfigError(f"unknown experiment {experiment!r}; known are {', '.join(EXPERIMENTS)}.")
    profiles = EXPERIMENTS[experiment].profiles
    if profile not in PROFILES:
        raise ConfigError(f"profile={profile!r} must be one of {', '.join(PROFILES)}.")
    if profile not in profiles:
        raise ConfigError(
            f"experiment {experiment!r} has no profile {profile!r}; choose {' or '.join(profiles)}."
        )
    return profiles[profile]
