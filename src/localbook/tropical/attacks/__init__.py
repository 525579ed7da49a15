"""Attacks by the gradient, and on input and first layer together."""

from localbook.tropical.attacks.gradient import descent as descent
from localbook.tropical.attacks.gradient import fgsm as fgsm
from localbook.tropical.attacks.gradient import pgd as pgd
from localbook.tropical.attacks.gradient import shortened as shortened
from localbook.tropical.attacks.penalty import Penalty as Penalty
from localbook.tropical.attacks.penalty import least_weights as least_weights
from localbook.tropical.attacks.tropical import tropical_attack as tropical_attack
from localbook.tropical.attacks.tropical import weight_change_needed as weight_change_needed
