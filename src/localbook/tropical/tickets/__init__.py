"""Tickets."""

from localbook.tropical.tickets.iterative import (
    Initialisation,
    Method,
    Pruning,
    Round,
    Scope,
    Trainer,
    initial_network,
    iterative_pruning,
    magnitude_masks,
    masked,
)
from localbook.tropical.tickets.training import Training, accuracy, ticket_trainer

__all__ = [
    "Initialisation",
    "Method",
    "Pruning",
    "Round",
    "Scope",
    "Trainer",
    "Training",
    "accuracy",
    "initial_network",
    "iterative_pruning",
    "magnitude_masks",
    "masked",
    "ticket_trainer",
]
