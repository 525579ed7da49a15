"""Do two networks compute the same? Whole layers by CKA, single neurons by matching."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from localbook.errors import ConfigError


@torch.no_grad()
def linear_cka(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    r"""Return the linear centred kernel alignment of each of some layers with each of others.

    For activations X (N, p) and Y (N, q) of the same samples, centred over the samples, it is

    .. math::

        \frac{\|Y^\top X\|_F^2}{\|X^\top X\|_F \, \|Y^\top Y\|_F} ,

    which no rotation and no scaling of a layer's space changes: 1 for layers that differ by these
    only. Kornblith et al., "Similarity of neural network representations revisited" (2019), eq. 2.

    Parameters
    ----------
    a, b : sequences of float tensors, each of shape (N, ...)
        One for each layer, flattened here. All must be of the same N samples. Memory is N² numbers
        a layer.

    Returns
    -------
    float64 tensor, shape (len(a), len(b))
        NaN for layers that are constant.

    Raises
    ------
    ConfigError
        If the numbers of samples differ.
    """
    if len({len(layer) for layer in (*a, *b)}) != 1:
        raise ConfigError("CKA compares layers on the same samples; give as many for each layer.")
    kernels, others = (torch.stack([_kernel(layer) for layer in side]) for side in (a, b))
    return kernels @ others.T


def _kernel(layer: Tensor) -> Tensor:
    """Return the centred matrix of inner products, of length one, flattened."""
    x = layer.flatten(1).double()
    x = x - x.mean(0)
    kernel = (x @ x.T).flatten()
    unit: Tensor = kernel / kernel.norm()
    return unit


@dataclass(frozen=True)
class Matching:
    """A pairing of one layer's neurons with another's.

    Attributes
    ----------
    partner : int64 tensor, shape (C,)
        The neuron of the other layer that goes with each neuron of this one.
    correlation : float64 tensor, shape (C,)
        Of the two; 0 where one of them is constant.
    """

    partner: Tensor
    correlation: Tensor


@torch.no_grad()
def match_neurons(a: Tensor, b: Tensor) -> Matching:
    """Pair the neurons of two layers one to one, so that the correlations add up to the most.

    Li et al., "Convergent learning: do different neural networks learn the same representations?"
    (2016), whose one-to-one matching is this assignment problem.

    Parameters
    ----------
    a, b : float tensors, shape (N, C), (N, C, H, W) or (N, T, C)
        Activations of the same samples. A neuron is a channel: each position is one more sample.

    Raises
    ------
    ConfigError
        If samples, positions or numbers of neurons differ, or scipy is not installed.
    """
    if a.shape != b.shape:
        raise ConfigError(
            f"layers of shape {tuple(a.shape)} and {tuple(b.shape)} cannot be matched neuron by "
            "neuron; take the same layer of two equal networks, on the same samples."
        )
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ConfigError(
            "matching neurons needs scipy, which is not installed; run `pip install scipy`."
        ) from error
    correlation = _standardised(a).T @ _standardised(b)  # (C, C)
    rows, columns = linear_sum_assignment(correlation.cpu().numpy(), maximize=True)
    partner = torch.from_numpy(columns)
    return Matching(partner, correlation.cpu()[torch.from_numpy(rows), partner])


def _standardised(layer: Tensor) -> Tensor:
    """Return one column of mean zero and length one for each neuron, or of zeros."""
    x = layer.movedim(1, -1) if layer.ndim == 4 else layer
    x = x.flatten(0, -2).double()
    x = x - x.mean(0)
    length = x.norm(dim=0)
    return torch.where(length > 1e-9 * length.max(), x / length, 0.0)
