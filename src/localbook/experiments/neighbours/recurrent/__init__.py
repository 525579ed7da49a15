"""Experiments of recurrent networks: gradients in time, pruned ones, and random graphs as wires."""

from localbook.experiments.neighbours.recurrent.pruned import SPARSE_RNN
from localbook.experiments.neighbours.recurrent.review import RNN_REVIEW
from localbook.experiments.neighbours.recurrent.structures import (
    RANDOM_STRUCTURES,
    depths,
    properties,
    random_graph,
    wired,
)

__all__ = [
    "RANDOM_STRUCTURES",
    "RNN_REVIEW",
    "SPARSE_RNN",
    "depths",
    "properties",
    "random_graph",
    "wired",
]
