"""Attacks compared: the paper's, the usual ones, and those of libraries, at the same budget."""

from localbook.experiments.attacks import experiment
from localbook.experiments.attacks.experiment import trained as trained
from localbook.experiments.attacks.methods import ATTACKS as ATTACKS

EXPERIMENTS = {
    "tropical-attack": experiment.TROPICAL_ATTACK,
    "tropical-attack-deep": experiment.TROPICAL_ATTACK_DEEP,
    "tropical-attack-digits": experiment.TROPICAL_ATTACK_DIGITS,
}
