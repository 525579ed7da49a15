"""Activations of which PyTorch lacks a derivative, or has a wrong one, by formulas that have all.

PyTorch has no second derivative of Hardsigmoid, makes Mish's NaN for large inputs and that of
normalised vectors of zeros (such as Swin v2's keys where windows are padded), and takes PReLU's at
exactly zero from the other side than its first.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return relu6(x + 3) / 6."""
    return _into(input, F.relu6(input + 3) / 6, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x tanh(softplus(x))."""
    return _into(input, input * F.softplus(input).tanh(), inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return x where it is positive, else x times the weight of its channel; at 0 the latter."""
    if weight.numel() > 1 and input.ndim > 1:
        weight = weight.view(1, -1, *[1] * (input.ndim - 2))
    return torch.where(input > 0, input, weight * input)


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """Return x / max(|x|, eps), which is linear, with no second derivative, where |x| is small."""
    if p != 2 or out is not None:
        return F.normalize(input, p, dim, eps, out)
    small = input.detach().norm(2, dim, keepdim=True) <= eps
    length = torch.where(small, torch.ones_like(input), input).norm(2, dim, keepdim=True)
    return input / torch.where(small, eps, length)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Return PyTorch's dropout, with the mask that it draws outside torch.func."""
    if not training or not 0 < p < 1:
        plain: Tensor = F.dropout(input, p, training, inplace)
        return plain
    return _into(input, input * (_kept(input, p) / (1 - p)), inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Return PyTorch's alpha dropout, with the mask that it draws outside torch.func."""
    if not training or not 0 < p < 1:
        plain: Tensor = F.alpha_dropout(input, p, training, inplace)
        return plain
    alpha = 1.7580993408473766  # where SELU ends on the left, with the sign changed
    scale = ((alpha**2 * p + 1) * (1 - p)) ** -0.5
    kept = _kept(input, p)
    return _into(input, input * (kept * scale) + alpha * scale * (kept - 1 + p), inplace)


def _kept(x: Tensor, p: float) -> Tensor:
    """Return a mask of zeros and ones, drawn in the memory order of x as PyTorch's kernels do."""
    if x.is_cuda:  # whose fused kernel draws other numbers than bernoulli
        mask: Tensor = torch.native_dropout(torch.ones_like(x), p, True)[1]
        return mask.to(x.dtype)
    return torch.empty_like(x).bernoulli_(1 - p)


def _into(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return input.copy_(result) if inplace else result


TWICE: dict[Any, Any] = {
    F.hardsigmoid: hardsigmoid,
    F.mish: mish,
    F.normalize: normalize,
    torch.prelu: prelu,
}


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return the first half times the sigmoid of the second, of which bfloat16 has no tangent."""
    value, gate = input.chunk(2, dim)
    return value * gate.sigmoid()


def lstm(*args: Any) -> Any:
    """Return PyTorch's LSTM step by step: its fused kernel for float32 on a CPU has no tangent."""
    kernels: Any = torch.backends.mkldnn
    before, kernels.enabled = kernels.enabled, False
    try:
        return torch.lstm(*args)
    finally:
        kernels.enabled = before


FORWARD: dict[Any, Any] = {
    **TWICE,
    F.glu: glu,
    torch.lstm: lstm,
    torch.dropout: dropout,
    F.dropout: dropout,
    torch.alpha_dropout: alpha_dropout,
    F.alpha_dropout: alpha_dropout,
}
