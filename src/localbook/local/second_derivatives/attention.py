"""Attention that can be differentiated twice, without keeping its square matrices of scores.

PyTorch's fused kernels of scaled dot-product attention have a first derivative only, and the plain
formula, which has a second, saves matrices of T x T scores for T tokens: for long sequences most of
what a step holds. Here queries, keys and values alone are saved. The first derivative is the fused
kernel's, and the second is that of the formula, worked out again for a few samples at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel

from localbook.local.second_derivatives.autocast import lowered

FUSED: Any = F.scaled_dot_product_attention


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **more: Any,
) -> Tensor:
    """Return softmax(query keyᵀ · scale) value, twice differentiable.

    Parameters and result are those of ``torch.nn.functional.scaled_dot_product_attention``;
    queries, keys and values may lack axes before the last two, or share them.
    """
    if attn_mask is not None or dropout_p or is_causal or more:
        with sdpa_kernel(SDPBackend.MATH):
            plain: Tensor = FUSED(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, **more
            )
            return plain
    inputs = cast(tuple[Tensor, ...], lowered(query, key, value))
    shapes = (t.shape[:-2] for t in inputs)
    batch = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
    inputs = tuple(t.expand(*(batch or (1,)), *t.shape[-2:]) for t in inputs)
    out: Tensor = _Attention.apply(*inputs, scale)
    return out if batch else out.squeeze(0)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float | None) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.scale = scale
        out: Tensor = FUSED(q, k, v, scale=scale)
        return out

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        return (*_AttentionBackward.apply(*ctx.saved_tensors, slope, ctx.scale), None)


class _AttentionBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, slope: Tensor, scale: float | None
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(q, k, v, slope)
        ctx.scale = scale
        with torch.enable_grad():
            inputs = _fresh(q, k, v)
            out = FUSED(*inputs, scale=scale)
        return grad(out, inputs, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *directions: Tensor) -> tuple[Tensor | None, ...]:
        query, scale = ctx.saved_tensors[0], ctx.scale
        if scale is None:
            scale = query.shape[-1] ** -0.5
        # So few samples at a time that their scores take no more than all the queries.
        few = max(1, len(query) * query.shape[-1] // query.shape[-2])
        parts = zip(*(t.split(few) for t in (*ctx.saved_tensors, *directions)), strict=True)
        found = [_second(*part, scale=scale) for part in parts]
        return (*(torch.cat(pieces) for pieces in zip(*found, strict=True)), None)


def _second(
    q: Tensor, k: Tensor, v: Tensor, slope: Tensor, *directions: Tensor, scale: float
) -> tuple[Tensor, ...]:
    """Return the gradients by q, k, v and the slope of ⟨first derivative, directions⟩.

    With the weights S = softmax(Z) and P = slope vᵀ the first derivative by the scores Z is
    S ∘ (P - r), where r are the sums of S ∘ P over each row; by v it is Sᵀ slope. So the directions
    are met by the scores along A = (u_q kᵀ + q u_kᵀ) · scale, and by the weights along slope u_vᵀ.
    """
    u_q, u_k, u_v = directions
    weights = torch.softmax(q @ k.mT * scale, -1)  # (N, heads, T, S), as all in capitals above
    by_weights = slope @ v.mT
    by_weights -= _of_rows(weights, by_weights)  # P - r: of another centre each row, but no matter
    along = (u_q @ k.mT + q @ u_k.mT) * scale
    along -= _of_rows(weights, along)  # likewise
    by_scores, change = weights * by_weights, weights * along
    twice = along.mul_(by_weights).add_(slope @ u_v.mT)
    twice -= _of_rows(weights, twice)
    twice *= weights
    return (
        scale * (twice @ k + by_scores @ u_k),
        scale * (twice.mT @ q + by_scores.mT @ u_q),
        change.mT @ slope,
        change @ v + weights @ u_v,
    )


def _of_rows(weights: Tensor, values: Tensor) -> Tensor:
    return (weights * values).sum(-1, keepdim=True)


def _fresh(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().requires_grad_() for tensor in tensors)


@contextmanager
def by_name() -> Iterator[None]:
    """Replace the function of torch.nn.functional, which nn.MultiheadAttention looks up there."""
    replacement: Any = attention
    F.scaled_dot_product_attention = replacement
    try:
        yield
    finally:
        F.scaled_dot_product_attention = FUSED
