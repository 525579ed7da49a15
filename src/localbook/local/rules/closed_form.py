"""How an error goes back through one layer, by formula: what BP-free SGR is made of."""

from functools import singledispatch

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from localbook.errors import ConfigError
from localbook.local.networks import FixedLinear, MeanToken, ToTokens

Gradients = dict[Tensor, Tensor]  # from parameters to their gradients


@singledispatch
def pull(layer: nn.Module, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    """Return the error at a layer's input x, and the slopes of its parameters, in closed form.

    Raises
    ------
    ConfigError
        If there is no formula for such a layer.
    """
    raise ConfigError(
        f"BP-free SGR has no closed form for the layer {layer}; it knows linear layers, "
        "convolutions that pad a given number of zeros, BatchNorm, ReLU, Tanh, Flatten and heads "
        "that average and are linear."
    )


@pull.register
def _(layer: nn.Linear, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    slopes = {layer.weight: error.flatten(0, -2).T @ x.flatten(0, -2)}
    if layer.bias is not None:
        slopes[layer.bias] = error.flatten(0, -2).sum(0)
    return error @ layer.weight, slopes


@pull.register
def _(layer: nn.Conv2d, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return pull.dispatch(nn.Module)(layer, x, error)
    form = (layer.stride, layer.padding, layer.dilation, False, [0, 0], layer.groups)
    # A convolution with the mirrored kernel, and a correlation of error and input.
    back, slope, _ = torch.ops.aten.convolution_backward(
        error, x, layer.weight, None, *form, (True, True, False)
    )
    slopes = {layer.weight: slope}
    if layer.bias is not None:
        slopes[layer.bias] = error.sum((0, 2, 3))
    return back, slopes


@pull.register
def _(layer: _BatchNorm, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    every = [0, *range(2, x.ndim)]  # all axes but the channels'
    shape = [1, -1, *[1] * (x.ndim - 2)]
    by_batch = layer.training or layer.running_mean is None
    if by_batch:
        mean, variance = x.mean(every, keepdim=True), x.var(every, correction=0, keepdim=True)
    else:
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean, variance = layer.running_mean.view(shape), layer.running_var.view(shape)
    scale = (variance + layer.eps).rsqrt()
    unit = (x - mean) * scale
    slopes = Gradients()
    if layer.affine:
        slopes = {layer.weight: (error * unit).sum(every), layer.bias: error.sum(every)}
        error = error * layer.weight.view(shape)
    if by_batch:  # mean and variance answer to the input too
        along = (error * unit).mean(every, keepdim=True)
        error = error - error.mean(every, keepdim=True) - unit * along
    return error * scale, slopes


@pull.register
def _(layer: nn.ReLU, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    return error * (x > 0), {}


@pull.register
def _(layer: nn.Tanh, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    return error * (1 - x.tanh().square()), {}


@pull.register
def _(layer: nn.Flatten, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    return error.reshape(x.shape), {}


@pull.register
def _(layer: nn.AdaptiveAvgPool2d, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    if layer.output_size not in (1, (1, 1)):
        return pull.dispatch(nn.Module)(layer, x, error)
    return (error / x.shape[2:].numel()).expand_as(x), {}


@pull.register
def _(layer: ToTokens, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    moved = x.movedim(layer.form.axis, -1)
    return error.reshape(moved.shape).movedim(-1, layer.form.axis), {}


@pull.register
def _(layer: MeanToken, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    return (error / x.shape[1]).unsqueeze(1).expand_as(x), {}


@pull.register
def _(layer: FixedLinear, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    return error @ layer.weight, {}
