"""Training."""

from localbook.local.training import checkpoint as checkpoints
from localbook.local.training.batches import batches, epoch_seed, optimiser, set_rate
from localbook.local.training.compute import Compute
from localbook.local.training.reporting import figures, memory_used
from localbook.local.training.schedule import Schedule
from localbook.local.training.trainer import train

__all__ = [
    "Compute",
    "Schedule",
    "batches",
    "checkpoints",
    "epoch_seed",
    "figures",
    "memory_used",
    "optimiser",
    "set_rate",
    "train",
]
