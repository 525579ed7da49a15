r"""What it costs to remove one weight or neuron of a stack: how far generators move.

In a block, a weight :math:`a_{jm}` that is set to zero moves the generators of all classes by
:math:`|a_{jm}| \, |w_j|`, :math:`|w_j|^2 = \sum_i (w^i_j)^2`, and a removed neuron moves them by
:math:`|a_j| \, |w_j|`: the square root of twice the objective's data term. A stack of layers is a
chain of blocks. The outputs of an inner block are no classes but units, each of which compares its
score with zero: two generators :math:`B_{ij}^\pm a_j`, and :math:`|w_j|^2 = \sum_i B_{ij}^2`. To
put all blocks on one scale (ours)

- the inputs of a block count by the lengths of the generators that made them:
  :math:`s^0 = 1`, :math:`s^l_j = |(a_{jm} s^{l-1}_m)_m, c_j|`;
- its outputs count by what they do to the next block: :math:`r_j = |(B_{ij} r_i)_i|`, and
  in the last one :math:`r_j = |(B_{ij} - \bar B_j)_i|`, which is :math:`|w_j|` without what the
  generators of all classes have in common and no boundary can show.

The cost of the weight :math:`a_{jm}` is :math:`|a_{jm}| \, s_m \, r_j`. It does not change when a
neuron's row is multiplied by a positive number and its column divided by it, and nor does the
network; a weight's magnitude does.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from localbook.errors import ConfigError
from localbook.tropical.networks import check_layers

Array = NDArray[np.floating]


def weight_costs(
    weights: Sequence[Array], biases: Sequence[Array], exponent: float = 1.0
) -> list[Array]:
    r"""Return for each weight how far its removal moves the generators.

    One pass over the weights in each direction; the arrays' type is kept.

    Parameters
    ----------
    weights : sequence of ndarray (outputs, inputs)
        Two or more layers with ReLUs between them.
    biases : sequence of ndarray (outputs,)
    exponent : float
        :math:`|a_{jm}| (s_m r_j)^{\text{exponent}}`: 1 is the cost, 0 the magnitude.

    Returns
    -------
    list of ndarray, shaped as the weights

    Raises
    ------
    ConfigError
        If the layers do not chain, there are fewer than two, or a number is not finite.
    """
    sources, reaches = _scales(weights, biases)
    return [
        np.abs(w) * (s**exponent) * (r**exponent)[:, None]
        for w, s, r in zip(weights, sources, reaches, strict=True)
    ]


def neuron_costs(weights: Sequence[Array], biases: Sequence[Array]) -> list[Array]:
    """Return for each hidden neuron how far its removal moves the generators.

    Parameters and errors are those of :func:`weight_costs`.

    Returns
    -------
    list of ndarray (outputs,), one for each hidden layer
    """
    sources, reaches = _scales(weights, biases)
    return [s * r for s, r in zip(sources[1:], reaches[:-1], strict=True)]


def path_costs(
    weights: Sequence[Array], exponent: float = 1.0, norm: Literal[1, 2] = 2
) -> list[Array]:
    r"""Return for each weight the size of all paths through it, in one of two norms.

    A path's size is the product of its weights' magnitudes. Their sum, ``norm=1``, is the score of
    SynFlow (Tanaka et al. 2020, equation 1); the root of the sum of their squares, ``norm=2``, is
    :func:`weight_costs` without biases and without the mean over the classes.

    Parameters
    ----------
    weights : sequence of ndarray (outputs, inputs)
    exponent : float
        Of the paths before and after the weight: 1 is the path's size, 0 the weight's magnitude.
    norm : 1 or 2

    Returns
    -------
    list of ndarray, shaped as the weights

    Raises
    ------
    ConfigError
        If the layers do not chain, there are fewer than two, or a number is not finite.
    """
    check_stack(weights, [np.zeros(len(w)) for w in weights])
    before, after = path_sums([np.abs(w) ** norm for w in weights])
    return [
        np.abs(w) * s ** (exponent / norm) * (r ** (exponent / norm))[:, None]
        for w, s, r in zip(weights, before, after, strict=True)
    ]


def path_sums(weights: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Return the sums over all paths that end in a layer's inputs, and that begin at its outputs.

    A path counts by the product of its weights, so an input of the first layer and an output of the
    last have 1.

    Returns
    -------
    two lists of ndarray : (inputs,) and (outputs,) of each layer
    """
    before = [np.ones(weights[0].shape[1], dtype=weights[0].dtype)]
    for w in weights[:-1]:
        before.append(w @ before[-1])
    after = [np.ones(len(weights[-1]), dtype=weights[-1].dtype)]
    for w in reversed(weights[1:]):
        after.insert(0, w.T @ after[0])
    return before, after


def lookahead_costs(weights: Sequence[Array], exponent: float = 1.0) -> list[Array]:
    """Return for each weight its magnitude times the lengths of its neighbours' weights.

    The 2-norm of what enters its input in the layer before and of what reads its output in the
    layer after (lookahead distortion, Park et al. 2020, equation 4), or 1 where there is no layer.
    Parameters and errors are those of :func:`path_costs`.

    Returns
    -------
    list of ndarray, shaped as the weights
    """
    check_stack(weights, [np.zeros(len(w)) for w in weights])
    one = np.ones(1, dtype=weights[0].dtype)
    before = [one, *(np.linalg.norm(w, axis=1) for w in weights[:-1])]
    after = [*(np.linalg.norm(w, axis=0) for w in weights[1:]), one]
    return [
        np.abs(w) * s**exponent * (r**exponent)[:, None]
        for w, s, r in zip(weights, before, after, strict=True)
    ]


def _scales(weights: Sequence[Array], biases: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Return s of the inputs and r of the outputs of every layer."""
    check_stack(weights, biases)
    sources = [np.ones(weights[0].shape[1], dtype=weights[0].dtype)]
    for w, c in zip(weights[:-1], biases[:-1], strict=True):
        sources.append(np.sqrt(np.square(w) @ np.square(sources[-1]) + np.square(c)))
    last = weights[-1]
    # A score that is added to all classes decides nothing, so it counts for nothing either.
    reaches = [np.ones(len(last), dtype=last.dtype)]
    reaches.insert(0, np.linalg.norm(last - last.mean(axis=0), axis=0))
    for w in reversed(weights[1:-1]):
        reaches.insert(0, np.sqrt(np.square(w).T @ np.square(reaches[0])))
    return sources, reaches


def check_stack(weights: Sequence[Array], biases: Sequence[Array]) -> None:
    """Refuse what is no stack of two or more layers, with a ConfigError."""
    layers = [np.asarray(w) for w in weights]
    check_layers(layers, [np.asarray(b) for b in biases])
    if len(layers) < 2:
        raise ConfigError("pruning needs two or more layers: give a network with a hidden one.")
