"""Training."""

from localbook.local.training import checkpoint as checkpoints
from localbook.local.training.batches import batches
from localbook.local.training.checks import check_fit
from localbook.local.training.compute import Compute
from localbook.local.training.ranks import LostError, Ranks
from localbook.local.training.schedule import Schedule, optimiser, set_rate
from localbook.local.training.steps import NotFiniteError, Steps
from localbook.local.training.trainer import figures, train

__all__ = [
    "Compute",
    "LostError",
    "NotFiniteError",
    "Ranks",
    "Schedule",
    "Steps",
    "batches",
    "check_fit",
    "checkpoints",
    "figures",
    "optimiser",
    "set_rate",
    "train",
]
