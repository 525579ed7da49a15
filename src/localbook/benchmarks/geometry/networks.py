"""The networks that are timed: seeded, with a boundary that crosses the box."""

from itertools import pairwise

import numpy as np

from localbook.arrays import Box
from localbook.tropical import ReLUNetwork

BOX: Box = ((-2.0, 2.0), (-2.0, 2.0))


def network(widths: tuple[int, ...], seed: int = 0) -> ReLUNetwork:
    """Return a network with weights of He's size and all classes tied at the middle of the box."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(o, i)) * np.sqrt(2 / i) for i, o in pairwise(widths)]
    biases = [rng.normal(size=o) / 2 for o in widths[1:]]
    made = ReLUNetwork(tuple(weights), tuple(biases))
    return ReLUNetwork(made.weights, (*biases[:-1], biases[-1] - made([[0.0, 0.0]])[0]))


def name(widths: tuple[int, ...]) -> str:
    """Return how a network is called: 2-256-2."""
    return "-".join(map(str, widths))
