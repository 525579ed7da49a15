"""Experiments of sparse recurrent networks: pruned ones, and those that a random graph wires."""

from localbook.experiments.neighbours.recurrent.pruned import SPARSE_RNN
from localbook.experiments.neighbours.recurrent.structures import (
    RANDOM_STRUCTURES,
    depths,
    properties,
    random_graph,
    wired,
)

__all__ = [
    "RANDOM_STRUCTURES",
    "SPARSE_RNN",
    "depths",
    "properties",
    "random_graph",
    "wired",
]
