"""The context in which operations are replaced by those that differentiate well twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from localbook.local.second_derivatives.attention import FUSED, attention, by_name
from localbook.local.second_derivatives.batch_norm import batch_norm
from localbook.local.second_derivatives.convolution import Wanted, convolution
from localbook.local.second_derivatives.gelu import PLAIN, gelu
from localbook.local.second_derivatives.layer_norm import layer_norm


class DifferentiableTwice(TorchFunctionMode):
    """A context in which what is computed has a fast second derivative.

    Calls of ``scaled_dot_product_attention``, ``conv2d`` and ``batch_norm`` of
    ``torch.nn.functional`` are replaced, also those in traced modules and inside
    ``nn.MultiheadAttention``.

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
        if func is F.batch_norm:
            return batch_norm(*args, **kwargs)
        if func is F.layer_norm:
            return layer_norm(*args, **kwargs)
        if func is PLAIN:
            return gelu(*args, **kwargs)
        if func is FUSED:
            return attention(*args, **kwargs)
        if func is F.multi_head_attention_forward:
            with by_name():  # no mode sees what this function calls
                return func(*args, **kwargs)
        return func(*args, **kwargs)

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
