"""The context in which operations are replaced by those that differentiate well twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from localbook.local.second_derivatives.attention import FUSED, attention, by_name
from localbook.local.second_derivatives.batch_norm import batch_norm
from localbook.local.second_derivatives.convolution import Wanted, convolution
from localbook.local.second_derivatives.gelu import PLAIN, gelu
from localbook.local.second_derivatives.layer_norm import layer_norm
from localbook.local.second_derivatives.pointwise import FORWARD, TWICE

_REPLACED: dict[Any, Any] = {
    F.batch_norm: batch_norm,
    F.layer_norm: layer_norm,
    PLAIN: gelu,
    FUSED: attention,
    **TWICE,
}


class DifferentiableTwice(TorchFunctionMode):
    """A context in which what is computed has a fast second derivative.

    Calls of functions of ``torch.nn.functional`` are replaced by those of this room, also in traced
    modules and inside ``nn.MultiheadAttention``.

    Attributes
    ----------
    wanted : Wanted
        What the backward passes through the replaced convolutions are to compute.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wanted = Wanted()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.conv2d:
            return convolution(*args, **kwargs, wanted=self.wanted)
        if func is F.multi_head_attention_forward:
            with by_name():  # no mode sees what this function calls
                return func(*args, **kwargs)
        return _REPLACED.get(func, func)(*args, **kwargs)

    @contextmanager
    def by_inputs_alone(self) -> Iterator[None]:
        """Leave out gradients by the weights of convolutions from the backward passes inside.

        For ``torch.autograd.grad`` with respect to inputs: unlike PyTorch's own operations, those
        written in Python are not told which gradients somebody waits for.
        """
        self.wanted.weights = False
        try:
            yield
        finally:
            self.wanted.weights = True


class ForwardOverReverse(TorchFunctionMode):
    """A context in which ``torch.func`` differentiates, forward over reverse, what autograd does.

    Left to itself it draws dropout's masks in another memory order, and lets tangents through
    ``torch.no_grad``; see also :mod:`localbook.local.second_derivatives.pointwise`.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if not torch.is_grad_enabled() and func.__name__ != "__set__":
            args, kwargs = tree_map_only(Tensor, Tensor.detach, (args, kwargs))
        return FORWARD.get(func, func)(*args, **kwargs)
