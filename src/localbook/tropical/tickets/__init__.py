"""Tickets."""

from localbook.tropical.tickets.iterative import Initialisation as Initialisation
from localbook.tropical.tickets.iterative import Method as Method
from localbook.tropical.tickets.iterative import Pruning as Pruning
from localbook.tropical.tickets.iterative import Round as Round
from localbook.tropical.tickets.iterative import Scope as Scope
from localbook.tropical.tickets.iterative import Trainer as Trainer
from localbook.tropical.tickets.iterative import initial_network as initial_network
from localbook.tropical.tickets.iterative import iterative_pruning as iterative_pruning
from localbook.tropical.tickets.iterative import magnitude_masks as magnitude_masks
from localbook.tropical.tickets.iterative import masked as masked
from localbook.tropical.tickets.training import Training as Training
from localbook.tropical.tickets.training import accuracy as accuracy
from localbook.tropical.tickets.training import ticket_trainer as ticket_trainer
