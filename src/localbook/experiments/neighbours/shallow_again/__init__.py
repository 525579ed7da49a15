"""Residual layers in sequence and in parallel: at each depth, on folds, and learning locally."""

from localbook.experiments.neighbours.shallow_again.depths import SHALLOW_AGAIN as SHALLOW_AGAIN
from localbook.experiments.neighbours.shallow_again.depths import (
    SHALLOW_AGAIN_CIFAR10 as SHALLOW_AGAIN_CIFAR10,
)
from localbook.experiments.neighbours.shallow_again.depths import (
    SHALLOW_AGAIN_DENSE as SHALLOW_AGAIN_DENSE,
)
from localbook.experiments.neighbours.shallow_again.folds import (
    SHALLOW_AGAIN_FOLDS as SHALLOW_AGAIN_FOLDS,
)
from localbook.experiments.neighbours.shallow_again.modules import (
    SHALLOW_AGAIN_LOCAL as SHALLOW_AGAIN_LOCAL,
)
