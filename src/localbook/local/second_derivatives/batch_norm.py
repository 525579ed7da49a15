r"""BatchNorm with a second derivative of a few passes over its input.

Of the n numbers x of a channel, with mean μ and scale s = 1/√(variance + ε), BatchNorm makes
w x̂ + b with x̂ = s (x - μ). For a slope v its gradient is w s P v, where P v = v - Σv/n - x̂ Σ(v x̂)/n
is symmetric. So for a direction u, with q = ⟨u, P v⟩, the number ⟨u, w s P v⟩ = w s q has the
derivatives

    by v: w s P u, which is what BatchNorm's own kernel computes, with u for the slope,
    by w: s q,
    by x: -(w s²/n) (q x̂ + Σ(v x̂) P u + Σ(u x̂) P v),

because dx̂ = s P dx and ds = -s² Σ(x̂ dx)/n.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_kernels: Any = torch.ops.aten


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return x normalised over all but the channels.

    Parameters and result are those of ``torch.nn.functional.batch_norm``. What is computed with
    the statistics of the batch is computed here, anything else by PyTorch.

    Parameters
    ----------
    x : float tensor, shape (N, C, ...)
    running_mean, running_var : float tensor, shape (C,), or None
        Updated in place.
    weight, bias : float tensor, shape (C,), or None
    training : bool
    momentum, eps : float
    """
    if not training or x[:, 0].numel() < 2 or weight is None or bias is None:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    out: Tensor = _BatchNorm.apply(x, weight, bias, running_mean, running_var, momentum, eps)
    return out


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w: Tensor,
        b: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        out, mean, scale = torch.native_batch_norm(
            x, w, b, running_mean, running_var, True, momentum, eps
        )
        ctx.save_for_backward(x, w, mean, scale)
        return out

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        return (*_BatchNormGradients.apply(*ctx.saved_tensors, slope), None, None, None, None)


class _BatchNormGradients(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, mean: Tensor, scale: Tensor, slope: Tensor
    ) -> tuple[Tensor, ...]:
        by_x, by_w, by_b = _gradients(x, w, mean, scale, slope)
        ctx.save_for_backward(x, w, mean, scale, slope, by_w, by_b)
        ctx.set_materialize_grads(False)
        return by_x, by_w, by_b

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, u: Tensor | None, u_w: Tensor | None, u_b: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients by x, w and slope v of ⟨∂x, u⟩ + ⟨∂w, u_w⟩ + ⟨∂b, u_b⟩."""
        x, w, mean, s, v, sum_vx, sum_v = ctx.saved_tensors
        n = x.numel() / len(w)
        by_x = by_w = by_v = None
        if u is not None:
            by_v, sum_ux, sum_u = _gradients(x, w, mean, s, u)
            q = _over_channels(u * v) - (sum_u * sum_v + sum_ux * sum_vx) / n
            by_w = s * q
            outer = -w * s.square() / n
            by_x = _combined(
                x,
                mean,
                s,
                outer * (q - 2 * sum_ux * sum_vx / n),
                -outer * (sum_u * sum_vx + sum_v * sum_ux) / n,
                (outer * sum_vx, u),
                (outer * sum_ux, v),
            )
        if u_w is not None or u_b is not None:
            a, b = (torch.zeros_like(s) if t is None else t for t in (u_w, u_b))
            inner = (-a * s * sum_vx / n, -a * s * sum_v / n, (a * s, v))
            by_v = added(by_v, _combined(x, mean, s, a, b))
            by_x = added(by_x, _combined(x, mean, s, *inner))
        return by_x, by_w, None, None, by_v


def _gradients(
    x: Tensor, w: Tensor, mean: Tensor, scale: Tensor, slope: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return w s P v for the slope v, with Σ(v x̂) and Σv."""
    found: tuple[Tensor, Tensor, Tensor] = _kernels.native_batch_norm_backward(
        slope, x, w, None, None, mean, scale, True, 0.0, [True, True, True]
    )
    return found


def _combined(
    x: Tensor,
    mean: Tensor,
    scale: Tensor,
    own: Tensor,
    rest: Tensor,
    *others: tuple[Tensor, Tensor],
) -> Tensor:
    """Return ``own`` x̂ + ``rest`` + the sum of others, each with a factor for every channel."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    total = torch.addcmul((rest - own * scale * mean).view(shape), (own * scale).view(shape), x)
    for factor, other in others:
        total = total.addcmul_(factor.view(shape), other)
    return total.to(x.dtype)


def _over_channels(x: Tensor) -> Tensor:
    return x.sum([axis for axis in range(x.ndim) if axis != 1])


def added(one: Tensor | None, other: Tensor) -> Tensor:
    """Return the sum of derivatives, of which the first may be missing."""
    return other if one is None else one + other
