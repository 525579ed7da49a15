"""Attacks compared: the paper's, the usual ones, and those of libraries, at the same budget."""

from localbook.experiments.attacks.experiment import TROPICAL_ATTACK as TROPICAL_ATTACK
from localbook.experiments.attacks.experiment import TROPICAL_ATTACK_DEEP as TROPICAL_ATTACK_DEEP
from localbook.experiments.attacks.experiment import (
    TROPICAL_ATTACK_DIGITS as TROPICAL_ATTACK_DIGITS,
)
from localbook.experiments.attacks.experiment import trained as trained
from localbook.experiments.attacks.methods import ATTACKS as ATTACKS
