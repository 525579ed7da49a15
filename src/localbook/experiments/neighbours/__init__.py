"""Experiments of neighbours that take more room than their own file has."""

from localbook.experiments.neighbours.activating_while_pruning import DIGITS as ACTIVATING
from localbook.experiments.neighbours.activating_while_pruning import RESNET as ACTIVATING_RESNET
from localbook.experiments.neighbours.activating_while_pruning import VIT as ACTIVATING_VIT
from localbook.experiments.neighbours.af_kan import AF_KAN, AF_KAN_MNIST
from localbook.experiments.neighbours.clicks import FINALMLP, FINALMLP_MOVIELENS
from localbook.experiments.neighbours.convex_training import CONVEX_TRAINING
from localbook.experiments.neighbours.degeneracy import DIGITS as DEGENERACY_DIGITS
from localbook.experiments.neighbours.degeneracy import MODULES as DEGENERACY_MODULES
from localbook.experiments.neighbours.degeneracy import RANKS as DEGENERACY
from localbook.experiments.neighbours.depth_use import (
    DEPTH_EFFICIENCY,
    DEPTH_EFFICIENCY_SMOLLM2,
    NOT_ALL_ATTENTION,
    NOT_ALL_ATTENTION_SMOLLM2,
)
from localbook.experiments.neighbours.dynamical_stability import DYNAMICAL_STABILITY
from localbook.experiments.neighbours.g2gnet import G2GNET, G2GNET_CIFAR10, G2GNET_MNIST
from localbook.experiments.neighbours.hourglass import HOURGLASS
from localbook.experiments.neighbours.hypernetworks import HYPERNETWORKS
from localbook.experiments.neighbours.li2 import LI2
from localbook.experiments.neighbours.multigrid import MULTIGRID, MULTIGRID_DARCY
from localbook.experiments.neighbours.n2n import N2N, N2N_STUDENTS
from localbook.experiments.neighbours.noprop import NOPROP, NOPROP_CIFAR10
from localbook.experiments.neighbours.one_layer_transformer import ONE_LAYER_TRANSFORMER
from localbook.experiments.neighbours.quadratic import QUADRATIC, QUADRATIC_CIRCLE
from localbook.experiments.neighbours.recurrent import (
    RANDOM_STRUCTURES,
    RNN_REVIEW,
    SPARSE_RNN,
    depths,
    properties,
    random_graph,
    wired,
)
from localbook.experiments.neighbours.representations import (
    CONVERGENT_LEARNING,
    REPRESENTATIONS_CLUSTERS,
    REPRESENTATIONS_DIGITS,
    REPRESENTATIONS_PHOTOGRAPHS,
)
from localbook.experiments.neighbours.shallow_again import (
    SHALLOW_AGAIN,
    SHALLOW_AGAIN_CIFAR10,
    SHALLOW_AGAIN_DENSE,
    SHALLOW_AGAIN_FOLDS,
    SHALLOW_AGAIN_LOCAL,
)
from localbook.experiments.neighbours.two_stream_video import TWO_STREAM

__all__ = [
    "ACTIVATING",
    "ACTIVATING_RESNET",
    "ACTIVATING_VIT",
    "AF_KAN",
    "AF_KAN_MNIST",
    "CONVERGENT_LEARNING",
    "CONVEX_TRAINING",
    "DEGENERACY",
    "DEGENERACY_DIGITS",
    "DEGENERACY_MODULES",
    "DEPTH_EFFICIENCY",
    "DEPTH_EFFICIENCY_SMOLLM2",
    "DYNAMICAL_STABILITY",
    "FINALMLP",
    "FINALMLP_MOVIELENS",
    "G2GNET",
    "G2GNET_CIFAR10",
    "G2GNET_MNIST",
    "HOURGLASS",
    "HYPERNETWORKS",
    "LI2",
    "MULTIGRID",
    "MULTIGRID_DARCY",
    "N2N",
    "N2N_STUDENTS",
    "NOPROP",
    "NOPROP_CIFAR10",
    "NOT_ALL_ATTENTION",
    "NOT_ALL_ATTENTION_SMOLLM2",
    "ONE_LAYER_TRANSFORMER",
    "QUADRATIC",
    "QUADRATIC_CIRCLE",
    "RANDOM_STRUCTURES",
    "REPRESENTATIONS_CLUSTERS",
    "REPRESENTATIONS_DIGITS",
    "REPRESENTATIONS_PHOTOGRAPHS",
    "RNN_REVIEW",
    "SHALLOW_AGAIN",
    "SHALLOW_AGAIN_CIFAR10",
    "SHALLOW_AGAIN_DENSE",
    "SHALLOW_AGAIN_FOLDS",
    "SHALLOW_AGAIN_LOCAL",
    "SPARSE_RNN",
    "TWO_STREAM",
    "depths",
    "properties",
    "random_graph",
    "wired",
]
