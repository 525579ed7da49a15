"""Attacks by the gradient, and on input and first layer together."""

from localbook.tropical.attacks.gradient import descent, fgsm, pgd, shortened
from localbook.tropical.attacks.penalty import Penalty, least_weights
from localbook.tropical.attacks.tropical import tropical_attack, weight_change_needed

__all__ = [
    "Penalty",
    "descent",
    "fgsm",
    "least_weights",
    "pgd",
    "shortened",
    "tropical_attack",
    "weight_change_needed",
]
