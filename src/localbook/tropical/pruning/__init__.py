"""Pruning."""

from localbook.tropical.pruning.costs import (
    lookahead_costs,
    neuron_costs,
    path_costs,
    weight_costs,
)
from localbook.tropical.pruning.masks import (
    class_blind,
    class_distribution,
    class_uniform,
    keep_neurons,
    keep_weights,
    parameters_kept,
    parameters_of,
    snip,
    synflow,
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
    "lookahead_costs",
    "neuron_costs",
    "parameters_kept",
    "parameters_of",
    "path_costs",
    "penalty_keeping",
    "prune_block",
    "pruning_objective",
    "snip",
    "synflow",
    "weight_costs",
    "without_neurons",
]
