"""Prunings compared at equal compression."""

from localbook.experiments.pruning.experiment import ALEXNET, DIGITS, MNIST, VGG16
from localbook.experiments.pruning.methods import METHODS, Trained, zeroing
from localbook.experiments.pruning.networks import linear_layers, measure

__all__ = [
    "ALEXNET",
    "DIGITS",
    "METHODS",
    "MNIST",
    "VGG16",
    "Trained",
    "linear_layers",
    "measure",
    "zeroing",
]
