"""Networks to test on: random ones, and small ones full of degeneracies."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import strategies as st

from localbook.tropical import ReLUNetwork


def random_network(*widths, seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(o, i)) / np.sqrt(i) for i, o in pairwise(widths)]
    return ReLUNetwork(tuple(weights), tuple(rng.normal(size=o) / 2 for o in widths[1:]))


def batch(model, count=30, seed=1):
    """Inputs of a torch model, with the classes that it gives them."""
    n = model[0].in_features
    x = torch.rand(count, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x, model(x).argmax(dim=1)


@st.composite
def small_integer_networks(draw, classes=(1, 3)):
    """Networks full of parallel, repeated, concurrent, dead and constant neurons."""
    widths = [2, *draw(st.sampled_from([(6,), (3, 3), (2, 2, 2)])), draw(st.integers(*classes))]
    numbers = st.integers(-2, 2)
    weights, biases = [], []
    for i, o in pairwise(widths):
        weights.append(np.array(draw(st.lists(numbers, min_size=i * o, max_size=i * o))))
        weights[-1] = weights[-1].reshape(o, i)
        biases.append(np.array(draw(st.lists(numbers, min_size=o, max_size=o))))
    return ReLUNetwork(tuple(weights), tuple(biases))
