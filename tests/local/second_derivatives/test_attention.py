"""Attention that can be differentiated twice, beside PyTorch's plain formula."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.nn.attention import SDPBackend, sdpa_kernel

from localbook.local import (
    BP,
    SGR,
    IsolatedNetwork,
    Rule,
    add_heads,
    live_bytes,
    saved_bytes,
    small_vit,
    split,
)
from localbook.local.second_derivatives import DifferentiableTwice, attention
from tests.local.second_derivatives.test_operations import second_derivatives


def tensors(
    samples: int = 3,
    heads: int = 2,
    tokens: int = 5,
    width: int = 4,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    shape = (samples, heads, tokens, width)
    return tuple(torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3))


def formula(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return torch.softmax(q @ k.transpose(-1, -2) * scale, -1) @ v


@pytest.mark.parametrize("scale", [None, 0.3])
def test_derivatives_by_finite_differences(scale):
    def function(*inputs):
        return attention(*inputs, scale=scale)

    assert gradcheck(function, tensors())
    assert gradgradcheck(function, tensors())


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (3, 2, 5, 4), (7, 1, 40, 3), (2, 3, 2, 9)], ids=str
)
def test_equals_the_formula_written_out(sizes):
    """Whether scores are many, so that samples are taken a few at a time, or few."""
    inputs = tensors(*sizes)
    for own, written in zip(
        second_derivatives(attention, inputs), second_derivatives(formula, inputs), strict=True
    ):
        torch.testing.assert_close(own, written)


@pytest.mark.parametrize(
    ("queries", "keys"),
    [
        ((16, 4), (16, 4)),  # no batch axis: every row attends to all the others
        ((24, 8), (30, 8)),
        ((3, 2, 5, 4), (3, 2, 8, 4)),  # more keys than queries
        ((3, 40, 4), (30, 4)),  # keys that all samples share
        ((3, 2, 40, 4), (1, 2, 30, 4)),
        ((3, 2, 40, 4), (2, 30, 4)),
    ],
)
def test_batch_axes_may_be_missing_or_shared(queries, keys):
    torch.manual_seed(0)
    shapes = (queries, keys, keys)
    inputs = tuple(torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes)
    for own, written in zip(
        second_derivatives(attention, inputs), second_derivatives(formula, inputs), strict=True
    ):
        torch.testing.assert_close(own, written)


@pytest.mark.parametrize(
    "how", [{"is_causal": True}, {"attn_mask": torch.ones(5, 5).tril().bool()}], ids=str
)
def test_masks_are_obeyed(how):
    inputs = tensors()
    with sdpa_kernel(SDPBackend.MATH):
        plain = second_derivatives(lambda *i: F.scaled_dot_product_attention(*i, **how), inputs)
    for own, expected in zip(
        second_derivatives(lambda *i: attention(*i, **how), inputs), plain, strict=True
    ):
        torch.testing.assert_close(own, expected)


def test_dropout_draws_the_masks_of_the_formula():
    inputs = tensors()
    torch.manual_seed(1)
    own = attention(*inputs, dropout_p=0.5)
    torch.manual_seed(1)
    with sdpa_kernel(SDPBackend.MATH):
        expected = F.scaled_dot_product_attention(*inputs, dropout_p=0.5)
    torch.testing.assert_close(own, expected)


def named(x: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x)


class Block(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


traced = torch.fx.symbolic_trace(Block())  # holds the function itself, not its name


def multihead(x: Tensor) -> Tensor:
    torch.manual_seed(0)
    block = nn.MultiheadAttention(4, 2, batch_first=True, dtype=x.dtype)
    return block(x[:, 0], x[:, 0], x[:, 0], need_weights=False)[0]


@pytest.mark.parametrize("way", [named, traced, multihead], ids=["named", "traced", "multihead"])
def test_every_way_to_call_it_is_replaced_inside_the_context_and_only_there(way):
    x = tensors()[0]
    builtin = F.scaled_dot_product_attention
    with DifferentiableTwice():
        found = second_derivatives(way, (x,))
    assert F.scaled_dot_product_attention is builtin
    with sdpa_kernel(SDPBackend.MATH):
        expected = second_derivatives(way, (x,))
    for own, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(own, plain)
    with pytest.raises(RuntimeError, match="not implemented"):  # the fused kernel, as before
        second_derivatives(way, (x,))


def test_the_function_is_put_back_after_an_error():
    builtin = F.scaled_dot_product_attention
    x = torch.randn(2, 5, 4)
    with pytest.raises(AssertionError), DifferentiableTwice():
        nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x, need_weights=False)
    assert F.scaled_dot_product_attention is builtin


def test_autocast_computes_it_in_low_precision_and_both_derivatives_too():
    inputs = tensors(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = attention(*inputs)
    assert out.dtype == torch.bfloat16
    first = grad(out.float().square().sum(), inputs, create_graph=True)
    second = grad(sum(f.square().sum() for f in first), inputs)
    exact = second_derivatives(formula, inputs)[0]
    torch.testing.assert_close(out.float(), exact, atol=0.02, rtol=0.05)
    assert all(f.dtype == torch.float32 and f.isfinite().all() for f in (*first, *second))


def growth(rule: Rule, count: Callable[..., int]) -> float:
    """Return how many times as much a step holds with four times the tokens."""
    held = []
    for side in (32, 64):
        torch.manual_seed(0)
        x, y = torch.randn(8, 3, side, side), torch.arange(8)
        model = small_vit(image=side, patch=4, width=64, depth=3, heads=2, seed=0)
        net = add_heads(split(model, 3, x).modules, "class_token", x, y, seed=0)
        held.append(count(rule, net, x, y))
    return held[1] / held[0]


def saved(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> int:
    return saved_bytes(rule, net, x, y).peak


@pytest.mark.parametrize("count", [saved, live_bytes])
def test_what_a_step_of_sgr_holds_does_not_grow_with_the_square_of_the_tokens(count):
    assert growth(SGR(1.0), count) < 1.15 * growth(BP(), count)
