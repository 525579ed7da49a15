"""What the modules of a trained network have learned, and what they tell each other."""

from localbook.local.diagnostics.alignment import (
    Alignment,
    ErrorBudget,
    Telescope,
    alignment,
    error_budget,
    telescope,
)
from localbook.local.diagnostics.conditions import ccgp, inherited, parallelism
from localbook.local.diagnostics.discord import Discord, accuracy, discord
from localbook.local.diagnostics.early_exit import EarlyExit, early_exit
from localbook.local.diagnostics.probes import activations, linear_probe
from localbook.local.diagnostics.similarity import Matching, linear_cka, match_neurons

__all__ = [
    "Alignment",
    "Discord",
    "EarlyExit",
    "ErrorBudget",
    "Matching",
    "Telescope",
    "accuracy",
    "activations",
    "alignment",
    "ccgp",
    "discord",
    "early_exit",
    "error_budget",
    "inherited",
    "linear_cka",
    "linear_probe",
    "match_neurons",
    "parallelism",
    "telescope",
]
