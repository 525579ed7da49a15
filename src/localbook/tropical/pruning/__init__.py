"""Pruning."""

from localbook.tropical.pruning.costs import neuron_costs, weight_costs
from localbook.tropical.pruning.masks import (
    class_blind,
    class_distribution,
    class_uniform,
    keep_neurons,
    keep_weights,
    parameters_kept,
    parameters_of,
    snip,
    without_neurons,
)
from localbook.tropical.pruning.objective import (
    Generators,
    Mask,
    PrunedNetwork,
    fit_rows,
    fit_weights,
    generators,
    penalty_keeping,
    prune_block,
    pruning_objective,
)

__all__ = [
    "Generators",
    "Mask",
    "PrunedNetwork",
    "class_blind",
    "class_distribution",
    "class_uniform",
    "fit_rows",
    "fit_weights",
    "generators",
    "keep_neurons",
    "keep_weights",
    "neuron_costs",
    "parameters_kept",
    "parameters_of",
    "penalty_keeping",
    "prune_block",
    "pruning_objective",
    "snip",
    "weight_costs",
    "without_neurons",
]
