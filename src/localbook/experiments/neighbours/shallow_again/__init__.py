"""Residual layers in sequence and in parallel: at each depth, on folds, and learning locally."""

from localbook.experiments.neighbours.shallow_again import depths, folds, modules

EXPERIMENTS = {
    "shallow-again": depths.SHALLOW_AGAIN,
    "shallow-again-cifar10": depths.SHALLOW_AGAIN_CIFAR10,
    "shallow-again-dense": depths.SHALLOW_AGAIN_DENSE,
    "shallow-again-folds": folds.SHALLOW_AGAIN_FOLDS,
    "shallow-again-local": modules.SHALLOW_AGAIN_LOCAL,
}
