"""What the modules of a trained network have learned, and what they tell each other."""

from localbook.local.diagnostics.alignment import Alignment, Telescope, alignment, telescope
from localbook.local.diagnostics.discord import Discord, accuracy, discord
from localbook.local.diagnostics.early_exit import EarlyExit, early_exit
from localbook.local.diagnostics.probes import activations, linear_probe
from localbook.local.diagnostics.similarity import Matching, linear_cka, match_neurons

__all__ = [
    "Alignment",
    "Discord",
    "EarlyExit",
    "Matching",
    "Telescope",
    "accuracy",
    "activations",
    "alignment",
    "discord",
    "early_exit",
    "linear_cka",
    "linear_probe",
    "match_neurons",
    "telescope",
]
