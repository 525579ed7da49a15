"""The experiments by name.

``quick`` runs in seconds on embedded images, ``cpu`` in minutes on real ones, and ``gpu`` is for
results on a CUDA device.
"""

from collections.abc import Mapping

from localbook.errors import ConfigError
from localbook.experiments import comparison, tickets
from localbook.experiments.registry import Experiment, Setting

PROFILES = ("quick", "cpu", "gpu")

EXPERIMENTS: Mapping[str, Experiment] = {
    "gradient-isolation": comparison.GRADIENT_ISOLATION,
    "lottery-tickets": tickets.LOTTERY_TICKETS,
    "lottery-tickets-digits": tickets.LOTTERY_TICKETS_DIGITS,
}


def setting(experiment: str, profile: str) -> Setting:
    """Return what ``profile`` means for ``experiment``.

    Raises
    ------
    ConfigError
        If either is unknown.
    """
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
