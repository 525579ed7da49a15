r"""LayerNorm with a second derivative of a few passes over its input.

Of the n numbers x of a sample, with mean μ and scale s = 1/√(variance + ε), LayerNorm makes w x̂ + b
with x̂ = s (x - μ), where w and b have n numbers as well. For a slope v its gradient is G = s P p
with p = w v and P p = p - Σp/n - x̂ Σ(p x̂)/n, which is symmetric. So for a direction u, with
U = s P u, the number ⟨u, G⟩ = ⟨p, U⟩ has the derivatives

    by v: w U,
    by w: v U, summed over the samples,
    by x: -(s/n) (⟨p, U⟩ x̂ + Σ(p x̂) U + Σ(u x̂) G),

because dx̂ = s P dx and ds = -s² Σ(x̂ dx)/n. U and G are what LayerNorm's own kernel computes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from localbook.local.second_derivatives.batch_norm import added

_kernels: Any = torch.ops.aten
_Shape = list[int]


def layer_norm(
    input: Tensor,
    normalized_shape: _Shape,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return the input normalised over its last axes.

    Parameters and result are those of ``torch.nn.functional.layer_norm``. What has one last axis,
    a weight and a bias is computed here, anything else by PyTorch.

    Parameters
    ----------
    input : float tensor, shape (..., n)
    normalized_shape : sequence of int
        The size n.
    weight, bias : float tensor, shape (n,), or None
    eps : float
    """
    if weight is None or bias is None or weight.ndim != 1 or not input.numel():
        return F.layer_norm(input, normalized_shape, weight, bias, eps)
    if input.is_cuda and torch.is_autocast_enabled("cuda"):
        input = input.float()  # as autocast does there, but not on processors
    out: Tensor = _LayerNorm.apply(input, weight, bias, list(normalized_shape), eps)
    return out


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, shape: _Shape, eps: float) -> Tensor:
        out, mean, scale = torch.native_layer_norm(x, shape, w, b, eps)
        ctx.save_for_backward(x, w, mean, scale)
        return out

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        return (*_LayerNormGradients.apply(*ctx.saved_tensors, slope), None, None)


class _LayerNormGradients(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, mean: Tensor, scale: Tensor, slope: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x, w, mean, scale, slope)
        ctx.set_materialize_grads(False)
        found: tuple[Tensor, ...] = _kernels.native_layer_norm_backward(
            slope, x, w.shape, mean, scale, w, w, [True, True, True]
        )
        return found

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, u: Tensor | None, u_w: Tensor | None, u_b: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients by x, w and slope v of ⟨G, u⟩ + ⟨∂w, u_w⟩ + ⟨∂b, u_b⟩."""
        x, w, mean, s, v = ctx.saved_tensors
        by_x = by_w = by_v = None
        if u is not None:
            by_x, by_w, by_v = _second(u, v, w, (x, mean, s))
        if u_w is not None:
            by_x = added(by_x, _gradient(v, u_w, x, mean, s))
            by_v = added(by_v, u_w * s * (x - mean))
        if u_b is not None:
            by_v = added(by_v, u_b.expand_as(v))
        return by_x, by_w, None, None, by_v


def _second(
    u: Tensor, v: Tensor, w: Tensor, saved: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients by x, w and v of ⟨G, u⟩, all in the precision of the statistics."""
    x, mean, s = saved
    along, first = (
        _gradient(slope, weight, *saved) for slope, weight in ((u, torch.ones_like(w)), (v, w))
    )  # U and G
    normal = (x - mean).mul_(s)
    product = v * along
    of_normal = (product.to(w.dtype) @ w)[..., None]
    of_along = ((v * normal).to(w.dtype) @ w)[..., None]
    of_first = (u * normal).sum(-1, keepdim=True)
    by_x = normal.mul_(of_normal).addcmul_(of_along, along).addcmul_(of_first, first)
    by_w = product.flatten(0, -2).sum(0)
    return by_x.mul_(s / -x.shape[-1]), by_w, along * w


def _gradient(slope: Tensor, weight: Tensor, x: Tensor, mean: Tensor, s: Tensor) -> Tensor:
    """Return s P (weight slope)."""
    found: Tensor = _kernels.native_layer_norm_backward(
        slope, x, [x.shape[-1]], mean, s, weight, None, [True, False, False]
    )[0]
    return found
