"""SGR without back-propagation: local gradients by hand, their change by dual numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.modules.batchnorm import _BatchNorm

from localbook.errors import ConfigError
from localbook.local.networks import FixedLinear, IsolatedNetwork, MeanToken, ToTokens, call_again
from localbook.local.rules.base import LocalRule, Signal
from localbook.local.rules.sgr import check, load_forward_mode, positions
from localbook.local.rules.targets import onehot

Gradients = dict[Tensor, Tensor]  # from parameters to their gradients


@dataclass(frozen=True)
class BPFreeSGR(LocalRule):
    r"""SGR for modules of one layer, without any autograd graph.

    A module is one linear or convolution layer with, perhaps, BatchNorm and an activation; its head
    pools and is linear. Then the gradients of its loss have a closed form: for x = φ(Wu), scores
    s = Hx and p = softmax(s),

    .. math::

        \delta = H^\top (p - \mathrm{onehot}(y)), \quad \psi = \varphi'(Wu) \odot \delta, \quad
        \gamma = W^\top \psi, \quad \partial\ell/\partial W = \psi u^\top .

    The penalty's gradient is the change of ∂ℓ/∂W and of ∂ℓ/∂H when u moves by
    v = 2λP/N (γ - δ of the module before): the same formulas, evaluated once more on dual numbers
    u + εv (forward mode). So no error passes from one module's layer to another's, and nothing is
    kept beyond a module's own activations. The gradients are those of
    :class:`localbook.local.rules.SGR` with the same distance.

    This setting is our reconstruction of the BP-free one of Yang et al., "Towards Interpretable
    Deep Local Learning with Successive Gradient Reconciliation" (ICML 2024).

    Attributes
    ----------
    weight : float
        λ >= 0.
    distance : {"per_position", "squared"}

    Raises
    ------
    ConfigError
        If the weight is negative or not a number.
    """

    by_hand = True
    uses_image = False

    weight: float = 1.0
    distance: Literal["per_position", "squared"] = "per_position"

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ConfigError(f"the SGR weight λ={self.weight} must be a number, zero or larger.")
        load_forward_mode()

    @torch.no_grad()
    def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
        """Add gradients for one batch; see :class:`localbook.local.rules.Rule`.

        Raises
        ------
        ConfigError
            If a module has no trained layer or more than one, a layer has no closed form here, or
            autocast is on.
        """
        if torch.is_autocast_enabled(x.device.type):
            raise ConfigError("BP-free SGR's closed forms are for float32; train it without bf16.")
        check(net, x)
        return super().gradients(net, x, y)

    @torch.no_grad()
    def step(
        self, module: nn.Module, head: nn.Module, place: tuple[int, int], signal: Signal
    ) -> tuple[Tensor, Signal]:
        """Add one module's gradients; see :class:`localbook.local.rules.LocalRule`."""
        layers = _layers(module)
        if sum(isinstance(layer, nn.Linear | nn.Conv2d) for layer in layers) != 1:
            raise ConfigError(
                f"module {place[0] + 1} does not have exactly one linear or convolution layer; "
                "cut the network after every layer for BP-free SGR, or take SGR."
            )
        x, y = signal.x, signal.y
        found = _closed_form(layers, _layers(head), x, y, lambda layer, x: layer(x))
        _add(found.slopes, 1 / len(y))
        if signal.delta is not None and self.weight > 0:
            factor = positions(x) if self.distance == "per_position" else 1
            direction = 2 * self.weight * factor / len(y) * (found.gamma - signal.delta)
            _add(_change(layers, _layers(head), x, y, direction), 1.0)
        return found.loss, replace(signal, x=found.out, delta=found.delta)


@dataclass(frozen=True)
class Local:
    """A module's closed-form gradients; those but ``loss`` are of the loss summed over samples.

    Attributes
    ----------
    loss : float tensor, shape ()
        Mean over the samples.
    out, delta : float tensor, shape (N, ...)
        The module's output and the gradient there.
    gamma : float tensor, shape (N, ...)
        The gradient at the module's input.
    slopes : dict
        From the parameters to their gradients.
    """

    loss: Tensor
    out: Tensor
    delta: Tensor
    gamma: Tensor
    slopes: Gradients


def _closed_form(
    module: list[nn.Module],
    head: list[nn.Module],
    x: Tensor,
    y: Tensor,
    run: Callable[[nn.Module, Tensor], Tensor],
) -> Local:
    """Run a module's and a head's layers forward, and send the error back through them by hand."""
    xs = [x]
    for layer in (*module, *head):
        xs.append(run(layer, xs[-1]))
    scores = xs.pop()
    error = scores.softmax(1) - onehot(y, scores.shape[1])
    delta, slopes = error, Gradients()
    for number, layer in reversed(list(enumerate((*module, *head)))):
        error, own = pull(layer, xs[number], error)
        slopes |= own
        if number == len(module):
            delta = error
    out = xs[len(module)] if head else scores
    return Local(F.cross_entropy(scores, y), out, delta, error, slopes)


def _change(
    module: list[nn.Module], head: list[nn.Module], x: Tensor, y: Tensor, direction: Tensor
) -> Gradients:
    """Return the derivative of the closed-form slopes when the input moves in a direction."""
    parameters: list[Tensor] = []

    def slopes_at(x: Tensor) -> list[Tensor]:
        found = _closed_form(module, head, x, y, lambda layer, x: call_again(layer, {}, x)).slopes
        parameters.extend(found)
        return list(found.values())

    tangents: list[Tensor] = jvp(slopes_at, (x,), (direction,))[1]
    return dict(zip(parameters, tangents, strict=True))


def _add(gradients: Gradients, factor: float) -> None:
    for parameter, gradient in gradients.items():
        if parameter.requires_grad:
            found = factor * gradient
            parameter.grad = found if parameter.grad is None else parameter.grad + found


def _layers(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [layer for child in module for layer in _layers(child)]
    return [] if isinstance(module, nn.Identity) else [module]


@singledispatch
def pull(layer: nn.Module, x: Tensor, error: Tensor) -> tuple[Tensor, Gradients]:
    """Return the error at a layer's input x, and the slopes of its parameters, in closed form."""
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
