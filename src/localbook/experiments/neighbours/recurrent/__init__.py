"""Experiments of recurrent networks: gradients in time, pruned ones, and random graphs as wires."""

from localbook.experiments.neighbours.recurrent.pruned import SPARSE_RNN
from localbook.experiments.neighbours.recurrent.review import RNN_REVIEW
from localbook.experiments.neighbours.recurrent.structures import RANDOM_STRUCTURES
from localbook.experiments.neighbours.recurrent.structures import depths as depths
from localbook.experiments.neighbours.recurrent.structures import properties as properties
from localbook.experiments.neighbours.recurrent.structures import random_graph as random_graph
from localbook.experiments.neighbours.recurrent.structures import wired as wired

EXPERIMENTS = {
    "rnn-review": RNN_REVIEW,
    "sparse-rnn": SPARSE_RNN,
    "sparse-rnn-structures": RANDOM_STRUCTURES,
}
