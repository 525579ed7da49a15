"""Convolution with a second derivative made of the kernels of the first.

PyTorch composes the second derivative of a convolution of convolutions with transposed tensors,
which are slower. But the convolution y = x * w is bilinear: with ∂x, ∂w the gradients for a slope
v, what ⟨∂x, u⟩ = ⟨v, u * w⟩ has for derivatives is made by the same kernels,

    by v: u * w,    by w: ∂w, with u in place of x,

and likewise for ⟨∂w, u⟩ = ⟨v, x * u⟩. Karras et al. take this way in the code of "Training
generative adversarial networks with limited data" (2020).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from localbook.local.second_derivatives.autocast import lowered

_Size = int | tuple[int, ...] | list[int]
_Mask = tuple[bool, bool, bool]
_kernels: Any = torch.ops.aten


@dataclass
class Wanted:
    """Whether backward passes compute gradients by weights and biases too."""

    weights: bool = True


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Size = 1,
    padding: _Size | str = 0,
    dilation: _Size = 1,
    groups: int = 1,
    *,
    wanted: Wanted | None = None,
) -> Tensor:
    """Return the convolution of images with a kernel.

    Parameters and result are those of ``torch.nn.functional.conv2d``. Batches with padding in
    numbers are computed here, anything else by PyTorch.

    Parameters
    ----------
    x : float tensor, shape (N, C, H, W)
    weight : float tensor, shape (D, C / groups, h, w)
    bias : float tensor, shape (D,), or None
    stride, padding, dilation : int or pair of int
    groups : int
    wanted : Wanted, optional
        Looked at in every backward pass; by default all gradients are.
    """
    if x.ndim != 4 or isinstance(padding, str):
        plain: Tensor = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return plain
    how = (_pair(stride), _pair(padding), _pair(dilation), groups)
    out: Tensor = _Convolution.apply(*lowered(x, weight, bias), how, wanted or Wanted())
    return out


def _pair(size: _Size) -> list[int]:
    return [size, size] if isinstance(size, int) else list(size) * (2 // len(size))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, how: Any, wanted: Wanted
    ) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.how, ctx.wanted = how, wanted
        return torch.conv2d(x, w, b, *how)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        by_x, by_w, by_b = ctx.needs_input_grad[:3]
        weights = ctx.wanted.weights
        mask = (by_x, by_w and weights, by_b and weights)
        return (*_ConvolutionGradients.apply(*ctx.saved_tensors, slope, ctx.how, mask), None, None)


class _ConvolutionGradients(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, slope: Tensor, how: Any, mask: _Mask
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(x, w, slope)
        ctx.set_materialize_grads(False)
        ctx.how = how
        return _gradients(x, w, slope, how, mask)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, u: Tensor | None, u_w: Tensor | None, u_b: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients by x, w and slope of ⟨∂x, u⟩ + ⟨∂w, u_w⟩ + ⟨∂b, u_b⟩."""
        x, w, slope = ctx.saved_tensors
        by_x = by_w = by_slope = None
        if u is not None:
            by_slope = torch.conv2d(u, w, u_b, *ctx.how)
            if ctx.needs_input_grad[1]:
                by_w = _gradients(u, w, slope, ctx.how, (False, True, False))[1]
        if u_w is not None:
            more = torch.conv2d(x, u_w, u_b if u is None else None, *ctx.how)
            by_slope = more if by_slope is None else by_slope + more
            by_x = _gradients(x, u_w, slope, ctx.how, (True, False, False))[0]
        if by_slope is None and u_b is not None:
            by_slope = u_b.view(1, -1, 1, 1).expand_as(slope)
        return by_x, by_w, by_slope, None, None


def _gradients(
    x: Tensor, w: Tensor, slope: Tensor, how: Any, mask: _Mask
) -> tuple[Tensor | None, ...]:
    """Return ∂x, ∂w and ∂b, or None where the mask is False."""
    stride, padding, dilation, groups = how
    sizes = [len(w)] if mask[2] else None
    found: tuple[Tensor | None, ...] = _kernels.convolution_backward(
        slope, x, w, sizes, stride, padding, dilation, False, [0, 0], groups, list(mask)
    )
    return found
