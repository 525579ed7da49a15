"""The experiments by name.

``quick`` runs in seconds on embedded images, ``cpu`` in minutes on real ones, and ``gpu`` is for
results on a CUDA device.
"""

from collections.abc import Mapping

from localbook import neighbours as street
from localbook.errors import ConfigError
from localbook.experiments import attacks, comparisons, neighbours, pruning
from localbook.experiments.harness import Experiment, Setting
from localbook.experiments.tickets import LOTTERY_TICKETS, LOTTERY_TICKETS_DIGITS

PROFILES = ("quick", "cpu", "gpu")

EXPERIMENTS: Mapping[str, Experiment] = {
    **comparisons.EXPERIMENTS,
    "lottery-tickets": LOTTERY_TICKETS,
    "lottery-tickets-digits": LOTTERY_TICKETS_DIGITS,
    **attacks.EXPERIMENTS,
    "tropical-pruning": pruning.DIGITS,
    "tropical-pruning-mnist": pruning.MNIST,
    "tropical-pruning-vgg16": pruning.VGG16,
    "tropical-pruning-alexnet": pruning.ALEXNET,
    **neighbours.EXPERIMENTS,
    "xor-grokking": street.xor_grokking.XOR_GROKKING,
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
