"""Reaching a compression exactly: which weights or neurons stay, and the magnitude baselines.

The compression of a stack is the share of its parameters, weights and biases, that are zero.
Pruning weights leaves the biases alone; removing a neuron takes its row, its bias and its column.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localbook.errors import ConfigError
from localbook.tropical.pruning.costs import Array, check_stack, path_sums
from localbook.tropical.pruning.objective import Mask

_STRIDE = 61  # shares no factor with widths such as 4096, so that all columns are sampled


def parameters_kept(weights: Sequence[Array], compression: float) -> int:
    """Return how many parameters may stay, the biases counted.

    Raises
    ------
    ConfigError
        If the compression is not in [0, 1).
    """
    if not 0 <= compression < 1:
        raise ConfigError(f"compression={compression} must be at least 0 and below 1.")
    return round((1 - compression) * sum(w.size + len(w) for w in weights))


def keep_weights(
    weights: Sequence[Array], scores: Sequence[Array], compression: float
) -> list[Mask]:
    """Keep the weights of the largest scores in the whole stack, exactly as many as may stay.

    Parameters
    ----------
    weights : sequence of ndarray (outputs, inputs)
    scores : sequence of ndarray, shaped as the weights
        Such as :func:`weight_costs`. Equal ones are kept from the first layer's first weight on.
    compression : float
        The share of the parameters that goes.

    Returns
    -------
    list of bool ndarray, shaped as the weights

    Raises
    ------
    ConfigError
        If the biases alone are more than may stay, or a score is not a number.
    """
    budget = _weights_kept(weights, compression)
    flat = np.concatenate([s.ravel() for s in scores])
    return _shaped(_largest(flat, budget), weights)


def class_blind(weights: Sequence[Array], compression: float) -> list[Mask]:
    """Keep the weights of the largest magnitude in the whole stack (See et al. 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> weights = [np.array([[0.1, -2.0], [3.0, 0.2]])]
    >>> (kept,) = tropical.class_blind(weights, compression=1 / 3)  # of 4 weights and 2 biases
    >>> kept.tolist()
    [[False, True], [True, False]]
    """
    return keep_weights(weights, [np.abs(w) for w in weights], compression)


def class_uniform(weights: Sequence[Array], compression: float) -> list[Mask]:
    """Keep the same share of each layer's weights, by magnitude (See et al. 2016).

    Rounding is undone in the largest layer, so that the number of all is exact.
    """
    budget = _weights_kept(weights, compression)
    total = sum(w.size for w in weights)
    counts = [round(budget * w.size / total) for w in weights]
    largest = int(np.argmax([w.size for w in weights]))
    counts[largest] += budget - sum(counts)
    return [
        _largest(np.abs(w).ravel(), count).reshape(w.shape)
        for w, count in zip(weights, counts, strict=True)
    ]


def class_distribution(weights: Sequence[Array], compression: float) -> list[Mask]:
    """Keep weights above one multiple of their layer's standard deviation (See et al. 2016)."""
    spread = [float(w.std()) or 1.0 for w in weights]
    scores = [np.abs(w) / s for w, s in zip(weights, spread, strict=True)]
    return keep_weights(weights, scores, compression)


def snip(weights: Sequence[Array], gradients: Sequence[Array], compression: float) -> list[Mask]:
    """Keep the weights of the largest connection sensitivity |weight * gradient| (Lee et al. 2019).

    Parameters
    ----------
    weights, gradients : sequences of ndarray (outputs, inputs)
        The loss's gradients on some training images.
    compression : float
    """
    scores = [np.abs(w * g) for w, g in zip(weights, gradients, strict=True)]
    return keep_weights(weights, scores, compression)


def synflow(weights: Sequence[Array], compression: float, rounds: int = 100) -> list[Mask]:
    """Keep the weights of the largest paths, a few fewer in every round (Tanaka et al. 2020).

    Algorithm 1: the share that stays falls geometrically, and what is gone is on no path in the
    next round, so that no layer is emptied while another has weights to spare.

    Parameters
    ----------
    weights : sequence of ndarray (outputs, inputs)
    compression : float
    rounds : int

    Returns
    -------
    list of bool ndarray, shaped as the weights
    """
    budget = _weights_kept(weights, compression)
    check_stack(weights, [np.zeros(len(w)) for w in weights])
    sizes = np.concatenate([np.abs(w).ravel() for w in weights])  # zero once they are gone
    scores, kept = np.empty_like(sizes), np.ones(len(sizes), dtype=bool)
    layers, priced = _shaped(sizes, weights), _shaped(scores, weights)
    left = total = len(sizes)
    for number in range(1, rounds + 1):
        for size, score, s, r in zip(layers, priced, *path_sums(layers), strict=True):
            np.multiply(size, s, out=score)
            score *= r[:, None]
        count = round(total * (budget / total) ** (number / rounds))
        gone = _lowest(scores, kept, left - count)
        kept[gone], sizes[gone], left = False, 0, count
    return _shaped(kept, weights)


def keep_neurons(
    weights: Sequence[Array],
    biases: Sequence[Array],
    costs: Sequence[Array],
    compression: float,
) -> list[Mask]:
    """Remove the cheapest hidden neurons one by one until no more parameters stay than may.

    The last neuron of a layer stays: without it the network would be constant.

    Parameters
    ----------
    weights : sequence of ndarray (outputs, inputs)
    biases : sequence of ndarray (outputs,)
    costs : sequence of ndarray (outputs,)
        One array for each hidden layer, such as :func:`neuron_costs`.
    compression : float

    Returns
    -------
    list of bool ndarray (outputs,), one for each hidden layer

    Raises
    ------
    ConfigError
        If one neuron in each layer has more parameters than may stay.
    """
    check_stack(weights, biases)
    budget = parameters_kept(weights, compression)
    kept = [np.ones(len(c), dtype=bool) for c in costs]
    widths = [weights[0].shape[1], *(len(w) for w in weights)]
    layers = np.repeat(np.arange(len(costs)), [len(c) for c in costs])
    places = np.concatenate([np.arange(len(c)) for c in costs])
    for cheapest in np.argsort(np.concatenate(costs), kind="stable"):
        layer = int(layers[cheapest])
        if parameters_of(widths) <= budget:
            break
        if widths[layer + 1] > 1:
            widths[layer + 1] -= 1
            kept[layer][places[cheapest]] = False
    if parameters_of(widths) > budget:
        raise ConfigError(
            f"compression={compression} leaves {budget} parameters, but one neuron a layer has "
            f"{parameters_of(widths)}: ask for less compression."
        )
    return kept


def without_neurons(
    weights: Sequence[Array], kept: Sequence[Mask]
) -> tuple[list[Mask], list[Mask]]:
    """Return the masks of weights and biases that remove neurons: rows, biases and columns.

    Parameters
    ----------
    weights : sequence of ndarray (outputs, inputs)
    kept : sequence of bool ndarray (outputs,)
        As :func:`keep_neurons` returns them.
    """
    inputs = [np.ones(weights[0].shape[1], dtype=bool), *kept]
    outputs = [*kept, np.ones(len(weights[-1]), dtype=bool)]
    return [np.outer(o, i) for o, i in zip(outputs, inputs, strict=True)], outputs


def _weights_kept(weights: Sequence[Array], compression: float) -> int:
    budget = parameters_kept(weights, compression) - sum(len(w) for w in weights)
    if budget < 0:
        raise ConfigError(
            f"compression={compression} leaves fewer parameters than there are biases: ask for "
            "less, or remove neurons."
        )
    return budget


def _largest(scores: Array, count: int) -> Mask:
    """Mark the ``count`` largest of the scores (n,); of equal ones the first."""
    if np.isnan(scores).any():
        raise ConfigError("a score is not a number: check the weights and gradients.")
    mask = np.zeros(len(scores), dtype=bool)
    if count == 0:
        return mask
    threshold = np.partition(scores, len(scores) - count)[len(scores) - count]
    mask[scores > threshold] = True
    ties = np.flatnonzero(scores == threshold)
    mask[ties[: count - np.count_nonzero(mask)]] = True
    return mask


def _lowest(scores: Array, among: Mask, count: int) -> NDArray[np.intp]:
    """Return the places of the ``count`` lowest scores among some (n,); of equal ones the last.

    Few of very many: only those up to a bound, which a sample gives, are put in order.
    """
    # The least of all is not a number if one is not: no array of answers is needed to see it.
    if np.isnan(scores.min()) and np.isnan(scores[among]).any():
        raise ConfigError("a score is not a number: check the weights and gradients.")
    if count == 0:
        return np.empty(0, dtype=np.intp)
    sample = scores[::_STRIDE][among[::_STRIDE]]
    rank = round(1.2 * count / _STRIDE) + 10
    near = among
    if rank < len(sample):
        near = scores <= np.partition(sample, rank)[rank]
        near &= among
    places = np.flatnonzero(near)
    if len(places) < count:  # the sample was not like the rest
        places = np.flatnonzero(among)
    values = scores[places]
    threshold = np.partition(values, count - 1)[count - 1]
    below, ties = places[values < threshold], places[values == threshold]
    return np.concatenate([below, ties[len(below) - count :]])


def _shaped(flat: NDArray[Any], weights: Sequence[Array]) -> list[NDArray[Any]]:
    """Return views of one array (n,) that are shaped as the weights."""
    cuts = np.cumsum([w.size for w in weights])[:-1]
    return [part.reshape(w.shape) for part, w in zip(np.split(flat, cuts), weights, strict=True)]


def parameters_of(widths: Sequence[int]) -> int:
    """Return the parameters, with biases, of layers of these widths, inputs first."""
    return sum((m + 1) * n for m, n in pairwise(widths))
