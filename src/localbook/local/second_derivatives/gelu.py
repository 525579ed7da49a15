"""GELU with a second derivative of a few passes over its input.

y = x Φ(x), with the normal distribution's Φ and density φ, has y'' = φ(x) (2 - x²). For a slope v
and a direction u, ⟨y' v, u⟩ has the derivatives y' u by v, which is what GELU's own kernel computes
with u for the slope, and y'' u v by x.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

PLAIN: Any = F.gelu


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x Φ(x), or PyTorch's approximation of it, for every number of any shape."""
    if approximate != "none":
        plain: Tensor = PLAIN(input, approximate=approximate)
        return plain
    out: Tensor = _GELU.apply(input)
    return out


class _GELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        out: Tensor = PLAIN(x)
        return out

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        by_x: Tensor = _GELUGradient.apply(*ctx.saved_tensors, slope)
        return by_x


class _GELUGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        by_x: Tensor = torch.ops.aten.gelu_backward(slope, x)
        return by_x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, u: Tensor) -> tuple[Tensor, Tensor]:
        x, v = ctx.saved_tensors
        square = x * x
        density = (square * -0.5).exp_().mul_(1 / math.sqrt(2 * math.pi))
        by_x = square.neg_().add_(2).mul_(density).mul_(u).mul_(v)
        return by_x, torch.ops.aten.gelu_backward(u, x)
