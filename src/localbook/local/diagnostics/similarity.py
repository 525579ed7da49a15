"""Do two networks compute the same? Whole layers by CKA, single neurons by matching."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from localbook.errors import ConfigError


@torch.no_grad()
def linear_cka(a: Sequence[Tensor], b: Sequence[Tensor], *, debiased: bool = False) -> Tensor:
    r"""Return the linear centred kernel alignment of each of some layers with each of others.

    For activations X (N, p) and Y (N, q) of the same samples, centred over the samples, it is

    .. math::

        \frac{\|Y^\top X\|_F^2}{\|X^\top X\|_F \, \|Y^\top Y\|_F} ,

    which no rotation and no scaling of a layer's space changes: 1 for layers that differ by these
    only. Kornblith et al., "Similarity of neural network representations revisited" (2019), eq. 2.

    It is large already for layers that share nothing but the images, or with few samples and many
    features: independent layers of 1,000 features have 0.97 at N = 32. Read it beside its floor,
    the value for an untrained network's layers in ``b``, or take the unbiased estimates of the
    three norms, by which independent layers have 0 on average.

    Parameters
    ----------
    a, b : sequences of float tensors, each of shape (N, ...)
        One for each layer, flattened here. All must be of the same N samples. Memory is N² numbers
        a layer.
    debiased : bool
        Whether to estimate without bias, which needs N >= 4. Song et al., "Feature selection via
        dependence maximization" (2012), eq. 5; as in Nguyen, Raghu and Kornblith (2021).

    Returns
    -------
    float64 tensor, shape (len(a), len(b))
        NaN for layers that are constant, which are like nothing.

    Raises
    ------
    ConfigError
        If the numbers of samples differ, or are too few.
    """
    if len(counts := {len(layer) for layer in (*a, *b)}) != 1:
        raise ConfigError("CKA compares layers on the same samples; give as many for each layer.")
    if debiased and min(counts) < 4:
        raise ConfigError(f"debiased CKA needs four or more samples, not {min(counts)}.")
    kernels, others = (torch.stack([_kernel(layer, debiased) for layer in s]) for s in (a, b))
    return kernels @ others.T


def _kernel(layer: Tensor, debiased: bool) -> Tensor:
    """Return the centred matrix of inner products, of length one, flattened."""
    x = _centred(layer.flatten(1))
    kernel = x @ x.T
    if debiased:  # centred again without the diagonal, so that its inner products are unbiased
        n, kernel = len(x), kernel.fill_diagonal_(0)
        rows = kernel.sum(1) / (n - 2)
        kernel = kernel - rows - rows[:, None] + rows.sum() / (n - 1)
        kernel.fill_diagonal_(0)
    unit: Tensor = kernel.flatten() / kernel.norm()
    return unit


def _centred(x: Tensor) -> Tensor:
    """Return float64 columns of mean zero; constant ones without the rounding of their mean."""
    x = x.double()
    return torch.where((x == x[0]).all(0), 0.0, x - x.mean(0))


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
    x = _centred(x.flatten(0, -2))
    length = x.norm(dim=0)
    return torch.where(length > 1e-9 * length.max(), x / length, 0.0)
