"""The second derivatives that the library brings along, beside PyTorch's own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad
from torch.nn.attention import SDPBackend, sdpa_kernel

from localbook.benchmarks.harness import Meter, Row, Target, timed
from localbook.local.second_derivatives import attention, batch_norm, convolution, gelu, layer_norm

_Function = Callable[..., Tensor]
_TARGET = Target("ratio", 1.0)


@dataclass(frozen=True)
class Operation:
    """An operation of a network, twice, for inputs of these shapes.

    By the first input the derivative is taken that is differentiated again.
    """

    own: _Function
    builtin: _Function
    inputs: tuple[tuple[int, ...], ...]


def _by_formula(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch's fused kernels have no second derivative
        return F.scaled_dot_product_attention(query, key, value)


def _convolution(*shapes: tuple[int, ...], **how: Any) -> Operation:
    return Operation(partial(convolution, **how), partial(F.conv2d, **how), shapes)


def _batch_norm(function: _Function) -> _Function:
    return lambda x, *affine: function(x, None, None, *affine, training=True)


def _layer_norm(function: _Function) -> _Function:
    return lambda x, *affine: function(x, affine[0].shape, *affine)


# Of the networks that are timed, with 16 images: ResNet-32 (32²), ResNet-50 and ViT-S (224²).
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("convolution 3 x 3", "64 to 64 channels, 8²"): _convolution(
        (16, 64, 8, 8), (64, 64, 3, 3), padding=1
    ),
    ("convolution 3 x 3", "128 to 128 channels, 28²"): _convolution(
        (16, 128, 28, 28), (128, 128, 3, 3), padding=1
    ),
    ("convolution 1 x 1", "256 to 64 channels, 56²"): _convolution(
        (16, 256, 56, 56), (64, 256, 1, 1)
    ),
    ("convolution 1 x 1, stride 2", "512 to 1,024 channels, 28²"): _convolution(
        (16, 512, 28, 28), (1024, 512, 1, 1), stride=2
    ),
    ("BatchNorm", "64 channels, 56²"): Operation(
        _batch_norm(batch_norm), _batch_norm(F.batch_norm), ((16, 64, 56, 56), (64,), (64,))
    ),
    ("LayerNorm", "197 tokens of 384"): Operation(
        _layer_norm(layer_norm), _layer_norm(F.layer_norm), ((16, 197, 384), (384,), (384,))
    ),
    ("GELU", "197 tokens of 1,536"): Operation(gelu, F.gelu, ((16, 197, 1536),)),
    ("attention", "197 tokens, 6 heads of 64"): Operation(
        attention, _by_formula, ((16, 6, 197, 64),) * 3
    ),
}


def measure(
    meter: Meter, operations: Mapping[tuple[str, str], Operation] = OPERATIONS
) -> Iterator[Row]:
    """Yield the time of each second derivative, beside that of PyTorch's own."""
    for (what, size), operation in operations.items():
        routines = {
            "own": _second(operation.own, operation.inputs, meter.device),
            "builtin": _second(operation.builtin, operation.inputs, meter.device),
        }
        times = meter.compare(routines)
        yield timed(what, size, times["own"], "PyTorch's own", times["builtin"], _TARGET)


def _second(
    function: _Function, shapes: tuple[tuple[int, ...], ...], device: str
) -> Callable[[], object]:
    """Return what differentiates the gradient by the first input once more, by all there is."""
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    inputs = [numbers(*shape).requires_grad_() for shape in shapes]
    out = function(*inputs)
    slope = numbers(*out.shape).requires_grad_()
    (first,) = grad(out, inputs[0], slope, create_graph=True)
    direction = numbers(*first.shape)
    return partial(grad, first, [*inputs, slope], direction, retain_graph=True, allow_unused=True)
