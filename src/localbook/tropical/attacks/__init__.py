"""Attacks by the gradient's sign, and on input and first layer together."""

from localbook.tropical.attacks.gradient import fgsm, pgd
from localbook.tropical.attacks.penalty import Penalty, least_weights
from localbook.tropical.attacks.tropical import tropical_attack, weight_change_needed

__all__ = ["Penalty", "fgsm", "least_weights", "pgd", "tropical_attack", "weight_change_needed"]
