"""Residual layers in sequence and in parallel: at each depth, on folds, and learning locally."""

from localbook.experiments.neighbours.shallow_again.depths import (
    SHALLOW_AGAIN,
    SHALLOW_AGAIN_CIFAR10,
    SHALLOW_AGAIN_DENSE,
)
from localbook.experiments.neighbours.shallow_again.folds import SHALLOW_AGAIN_FOLDS
from localbook.experiments.neighbours.shallow_again.modules import SHALLOW_AGAIN_LOCAL

__all__ = [
    "SHALLOW_AGAIN",
    "SHALLOW_AGAIN_CIFAR10",
    "SHALLOW_AGAIN_DENSE",
    "SHALLOW_AGAIN_FOLDS",
    "SHALLOW_AGAIN_LOCAL",
]
