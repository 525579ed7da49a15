"""Pruning."""

from localbook.experiments.pruning.experiment import ALEXNET, DIGITS, MNIST, VGG16

__all__ = ["ALEXNET", "DIGITS", "MNIST", "VGG16"]
