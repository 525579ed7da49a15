"""Attacks."""

from localbook.tropical.attacks.gradient import fgsm, pgd
from localbook.tropical.attacks.penalty import Penalty
from localbook.tropical.attacks.tropical import tropical_attack, weight_change_needed

__all__ = ["Penalty", "fgsm", "pgd", "tropical_attack", "weight_change_needed"]
