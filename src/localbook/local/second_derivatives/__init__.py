"""Operations whose second derivative is slow or missing in PyTorch, with a better one.

Double backward differentiates a module's backward pass. There PyTorch composes the second
derivative of a convolution of slow ones, those of BatchNorm, LayerNorm and GELU of many passes over
their input, and that of attention of its square matrices of scores; its fused kernels of attention
have none, nor has Hardsigmoid. In :class:`DifferentiableTwice` all of them are replaced. Results
and first derivatives stay those of PyTorch's own kernels. :class:`ForwardOverReverse` does the same
for that way to differentiate.
"""

from localbook.local.second_derivatives.attention import attention
from localbook.local.second_derivatives.batch_norm import batch_norm
from localbook.local.second_derivatives.context import DifferentiableTwice, ForwardOverReverse
from localbook.local.second_derivatives.convolution import convolution
from localbook.local.second_derivatives.cosines import cosines
from localbook.local.second_derivatives.gelu import gelu
from localbook.local.second_derivatives.layer_norm import layer_norm

__all__ = [
    "DifferentiableTwice",
    "ForwardOverReverse",
    "attention",
    "batch_norm",
    "convolution",
    "cosines",
    "gelu",
    "layer_norm",
]
