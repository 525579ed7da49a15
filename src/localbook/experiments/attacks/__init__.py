"""Attacks."""

from localbook.experiments.attacks.experiment import (
    TROPICAL_ATTACK,
    TROPICAL_ATTACK_DEEP,
    TROPICAL_ATTACK_DIGITS,
)

__all__ = ["TROPICAL_ATTACK", "TROPICAL_ATTACK_DEEP", "TROPICAL_ATTACK_DIGITS"]
