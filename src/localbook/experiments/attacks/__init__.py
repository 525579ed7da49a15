"""Attacks compared: the paper's, the usual ones, and those of libraries, at the same budget."""

from localbook.experiments.attacks.experiment import (
    TROPICAL_ATTACK,
    TROPICAL_ATTACK_DEEP,
    TROPICAL_ATTACK_DIGITS,
    trained,
)
from localbook.experiments.attacks.methods import ATTACKS

__all__ = [
    "ATTACKS",
    "TROPICAL_ATTACK",
    "TROPICAL_ATTACK_DEEP",
    "TROPICAL_ATTACK_DIGITS",
    "trained",
]
