"""Lottery tickets: iterative magnitude pruning of networks with one hidden layer.

After J. Frankle and M. Carbin, "The Lottery Ticket Hypothesis: Finding Sparse, Trainable Neural
Networks" (arXiv 1803.03635). How a network is trained is the caller's; see ``ticket_training`` for
a way in torch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from localbook.arrays import Floats, Masks
from localbook.errors import ConfigError
from localbook.tropical.networks import ReLUNetwork

Initialisation = Literal["default", "xavier", "he", "gaussian"]
Method = Literal["rewind", "reinit", "finetune", "random"]
Scope = Literal["global", "layer"]

Pair = tuple[Masks, Masks]
"""Which weights are left, with the shapes of A (p, n) and B (k, p)."""

Trainer = Callable[[ReLUNetwork, Pair, int], ReLUNetwork]
"""Gives the trained network for a start, masks, and the number of the round."""


@dataclass(frozen=True)
class Pruning:
    """How much is pruned, where, and what training starts from in every round.

    Attributes
    ----------
    rate : float
        The share of the weights left that a round removes, between 0 and 1.
    rounds : int
        At least 1; the dense network is round 0 and does not count.
    scope : "global" or "layer"
        The smallest weights of both layers together, or of each layer by itself, and then of the
        output layer at half the rate, as Frankle and Carbin do.
    method : "rewind", "reinit", "finetune" or "random"
        What the weights left start from: their initial values; fresh ones, on the masks that
        rewinding has found (a control); the values they were trained to; or their initial values,
        on masks drawn at random, with as many weights in each layer as rewinding has left there
        (a control).

    Raises
    ------
    ConfigError
        If one of them makes no sense.
    """

    rate: float = 0.2
    rounds: int = 10
    scope: Scope = "global"
    method: Method = "rewind"

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise ConfigError(f"rate={self.rate} must lie between 0 and 1, both excluded.")
        if self.rounds < 1:
            raise ConfigError(f"rounds={self.rounds} must be at least 1.")
        for name, value, known in (
            ("scope", self.scope, get_args(Scope)),
            ("method", self.method, get_args(Method)),
        ):
            if value not in known:
                raise ConfigError(f"{name}={value!r} must be one of {', '.join(known)}.")

    def left(self, total: int, finished: int, *, output_layer: bool = False) -> int:
        """Return how many of ``total`` weights are left after some rounds.

        Always counted from ``total``, so that roundings do not add up; at least one is left.
        """
        halved = self.scope == "layer" and output_layer
        rate = self.rate / 2 if halved else self.rate
        return max(1, round(total * (1 - rate) ** finished))


@dataclass(frozen=True)
class Round:
    """One training of iterative pruning; round 0 is the dense network's.

    Attributes
    ----------
    number : int
    masks : two bool arrays
        The weights that are left.
    start, network : ReLUNetwork
        Before and after training; pruned weights are zero in both.
    """

    number: int
    masks: Pair
    start: ReLUNetwork
    network: ReLUNetwork

    @property
    def left(self) -> float:
        """The share of the weights that is left."""
        first, second = self.masks
        return float(first.sum() + second.sum()) / (first.size + second.size)


def iterative_pruning(
    initial: ReLUNetwork,
    train: Trainer,
    pruning: Pruning,
    redraw: Callable[[int], ReLUNetwork] | None = None,
    seed: int = 0,
) -> Iterator[Round]:
    """Train and prune by turns; yield the dense network's training and then every round's.

    Parameters
    ----------
    initial : ReLUNetwork
        With one hidden layer, before training. Biases are never pruned.
    train : callable
    pruning : Pruning
    redraw : callable, optional
        Gives fresh initial weights for a round; needed by ``method="reinit"`` only, whose masks
        are those of rewinding, so that each of its rounds trains two networks.
    seed : int
        Of the masks of ``method="random"``, which trains two networks in each round as well.

    Raises
    ------
    ConfigError
        If the network does not have exactly one hidden layer, or ``redraw`` is missing.
    """
    if len(initial.weights) != 2:
        raise ConfigError(
            f"the network has {len(initial.weights) - 1} hidden layers; give one with exactly one "
            "hidden layer, (Linear, ReLU, Linear)."
        )
    if pruning.method == "reinit" and redraw is None:
        raise ConfigError("method='reinit' needs fresh weights: pass redraw.")
    return _rounds(initial, train, pruning, redraw, np.random.default_rng(seed))


def _rounds(
    initial: ReLUNetwork,
    train: Trainer,
    pruning: Pruning,
    redraw: Callable[[int], ReLUNetwork] | None,
    rng: np.random.Generator,
) -> Iterator[Round]:
    first, second = initial.weights
    masks: Pair = (np.ones(first.shape, dtype=np.bool_), np.ones(second.shape, dtype=np.bool_))
    trained = train(initial, masks, 0)
    yield Round(0, masks, initial, trained)
    for number in range(1, pruning.rounds + 1):
        masks = magnitude_masks(trained, masks, pruning, number)
        start = masked(trained if pruning.method == "finetune" else initial, masks)
        trained = train(start, masks, number)
        if pruning.method == "reinit" and redraw is not None:
            fresh = masked(redraw(number), masks)
            yield Round(number, masks, fresh, train(fresh, masks, number))
        elif pruning.method == "random":
            drawn = rng.permuted(masks[0].ravel()), rng.permuted(masks[1].ravel())
            placed: Pair = (drawn[0].reshape(first.shape), drawn[1].reshape(second.shape))
            start = masked(initial, placed)
            yield Round(number, placed, start, train(start, placed, number))
        else:
            yield Round(number, masks, start, trained)


def magnitude_masks(network: ReLUNetwork, masks: Pair, pruning: Pruning, number: int) -> Pair:
    """Return the masks of a round: of the weights left, those of the largest absolute value.

    Ties go to the weight that comes first. What was pruned stays pruned.

    Parameters
    ----------
    network : ReLUNetwork
        After the training of the round before.
    masks : two bool arrays
        Of the round before.
    pruning : Pruning
    number : int
        Of the new round, from 1.
    """
    sizes = [
        np.where(mask, np.abs(w), -1.0).ravel()  # pruned ones come last, even after zeros
        for w, mask in zip(network.weights, masks, strict=True)
    ]
    if pruning.scope == "global":
        total = sizes[0].size + sizes[1].size
        chosen = _largest(np.concatenate(sizes), pruning.left(total, number))
        kept = np.split(chosen, [sizes[0].size])
    else:
        kept = [
            _largest(size, pruning.left(size.size, number, output_layer=bool(layer)))
            for layer, size in enumerate(sizes)
        ]
    first, second = (k.reshape(m.shape) & m for k, m in zip(kept, masks, strict=True))
    return first, second


def _largest(values: Floats, count: int) -> Masks:
    """Mark the ``count`` largest."""
    chosen = np.zeros(len(values), dtype=np.bool_)
    chosen[np.argsort(-values, kind="stable")[:count]] = True
    return chosen


def masked(network: ReLUNetwork, masks: Pair) -> ReLUNetwork:
    """Return the network with zeros for the pruned weights, and all others bit for bit."""
    first, second = (np.where(m, w, 0.0) for w, m in zip(network.weights, masks, strict=True))
    return ReLUNetwork((first, second), network.biases)


def initial_network(
    widths: tuple[int, int, int], initialisation: Initialisation, seed: int
) -> ReLUNetwork:
    r"""Return a network (Linear, ReLU, Linear) before training.

    With :math:`n` inputs and :math:`m` outputs of a layer: ``default`` is torch's own, weights and
    biases uniform in :math:`\pm 1/\sqrt n`; the others have no biases, and weights ``xavier``
    uniform in :math:`\pm\sqrt{6/(n + m)}`, ``he`` normal of variance :math:`2/n`, or ``gaussian``
    standard normal.

    Parameters
    ----------
    widths : (n, p, k)
        Inputs, hidden neurons and classes.
    initialisation : "default", "xavier", "he" or "gaussian"
    seed : int

    Returns
    -------
    ReLUNetwork
        All numbers fit into single precision, so that training in it starts from these very bits.

    Raises
    ------
    ConfigError
        If the initialisation is unknown or a width is below 1.
    """
    if initialisation not in get_args(Initialisation):
        known = ", ".join(get_args(Initialisation))
        raise ConfigError(f"initialisation={initialisation!r} must be one of {known}.")
    if min(widths) < 1:
        raise ConfigError(f"widths={widths} must be (inputs, hidden, classes), each at least 1.")
    rng = np.random.default_rng(seed)
    layers = [_layer(n, m, initialisation, rng) for n, m in pairwise(widths)]
    weights, biases = zip(*layers, strict=True)
    return ReLUNetwork(weights, biases)


def _layer(
    n: int, m: int, initialisation: Initialisation, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    bias = np.zeros(m)
    if initialisation == "default":
        weight = rng.uniform(-1, 1, (m, n)) / np.sqrt(n)
        bias = rng.uniform(-1, 1, m) / np.sqrt(n)
    elif initialisation == "xavier":
        weight = rng.uniform(-1, 1, (m, n)) * np.sqrt(6 / (n + m))
    else:
        spread = np.sqrt(2 / n) if initialisation == "he" else 1.0
        weight = spread * rng.normal(size=(m, n))
    return weight.astype(np.float32).astype(np.float64), bias.astype(np.float32).astype(np.float64)
