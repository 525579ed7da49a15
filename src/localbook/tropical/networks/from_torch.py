"""From a torch model to a :class:`ReLUNetwork`, by what it computes."""

import copy
from collections.abc import Iterable
from numbers import Integral
from typing import TYPE_CHECKING

from localbook.errors import ConfigError
from localbook.tropical.networks.network import ReLUNetwork
from localbook.tropical.tolerance import TOLERANCE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from localbook.tropical.networks.tracing import Trace


def as_network(model: "ReLUNetwork | nn.Module") -> ReLUNetwork:
    """Return ``model`` itself if it is a :class:`ReLUNetwork`, else convert it."""
    return model if isinstance(model, ReLUNetwork) else from_torch(model)


def from_torch(model: "nn.Module", input_shape: tuple[int, ...] | None = None) -> ReLUNetwork:
    """Return a piecewise linear torch model as affine maps with neurons between them, in float64.

    The model's forward is run once on a tensor without numbers, which notes down every operation.
    So any nn.Module will do, if it is made of linear layers, convolutions (grouped, dilated,
    transposed), average and max pooling, batch normalisation, ReLU, LeakyReLU, PReLU, ReLU6,
    Hardtanh, absolute values, maxima and minima, padding, reshaping, concatenation, sums as of skip
    connections, dropout in evaluation mode. Pruned, parametrised and normed weights, hooks and
    subclasses count by what they do. A last softmax is left out: the scores before it tie where the
    probabilities do.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    input_shape : tuple of int, optional
        Shape of one input without the batch, such as (3, 32, 32); may be left out when the first
        layer with weights is an nn.Linear. The network takes the input flattened.

    Returns
    -------
    ReLUNetwork
        A skip connection is neurons of slope 1, a maximum is max(a, b) = b + relu(a - b). It is
        always compared with the model on random inputs.

    Raises
    ------
    ConfigError
        If it is no nn.Module, an operation is not piecewise linear (GELU, Hardswish, attention) or
        not known, a layer is in training mode or has numbers that are not finite, the input shape
        is needed or wrong, or the model computes something else on random inputs, as one that mixes
        the rows of a batch. Attacks evaluate a model in whatever mode it is, for a moment; what is
        read here is kept, and should decide as the model goes on to do.

    Examples
    --------
    >>> import torch
    >>> from localbook import tropical
    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv = torch.nn.Conv2d(1, 4, 3, padding=1)
    ...         self.head = torch.nn.Linear(16, 3)
    ...     def forward(self, x):
    ...         x = torch.relu(self.conv(x)) + x
    ...         return self.head(torch.nn.functional.max_pool2d(x, 2).flatten(1))
    >>> _ = torch.manual_seed(1)
    >>> net, images = Net().eval(), torch.randn(3, 1, 4, 4)

    Its boundary on the plane through three images:

    >>> network = tropical.from_torch(net, input_shape=(1, 4, 4))
    >>> plane = tropical.plane_through(*images)
    >>> boundary = tropical.decision_boundary(plane.restrict(network), ((-9, 9), (-9, 9)))
    >>> len(boundary.segments) > 100
    True
    """
    _check_module(model)
    _check_layers(model)
    twin = _twin(model)
    shape = _linear_input(model) if input_shape is None else _checked(input_shape)
    trace = _traced(twin, shape)
    _compare(trace, twin, shape)
    return trace.network


def _traced(model: "nn.Module", shape: tuple[int, ...]) -> "Trace":
    from localbook.tropical.networks.rules import RULES
    from localbook.tropical.networks.tracing import Trace

    trace = Trace(model, shape, RULES)
    try:
        trace.run()
    except (IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        where = trace.where[-1] if trace.where else "the model"
        if _takes(model, shape):
            why = f"{where} does something that is not read ({error}): compute with tensors only."
        else:
            why = (
                f"the model cannot take an input of shape {shape}: {where} fails ({error}); pass "
                "the shape of one input without the batch to from_torch."
            )
        raise ConfigError(why) from error
    return trace


def _takes(model: "nn.Module", shape: tuple[int, ...]) -> bool:
    """Tell whether the model itself runs on an input of this shape."""
    import torch

    try:
        with torch.no_grad():
            model(torch.zeros(1, *shape, dtype=torch.float64))
    except (IndexError, RuntimeError, TypeError, ValueError, AttributeError):
        return False
    return True


def _check_module(model: object) -> None:
    """Refuse what is no model, such as its weights alone."""
    from torch import nn

    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"from_torch needs an nn.Module, not {type(model).__name__}: build the model, and load "
            "saved weights into it, before it is read."
        )


def _checked(shape: object) -> tuple[int, ...]:
    """Return the shape of one input, refused unless it is one."""
    sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if not sizes or not all(isinstance(size, Integral) and int(size) > 0 for size in sizes):
        raise ConfigError(
            f"the input_shape {shape!r} must be sizes from 1 up, such as (3, 32, 32): that of one "
            "input without the batch."
        )
    return tuple(map(int, sizes))


def _check_layers(model: "nn.Module") -> None:
    """Refuse layers whose function changes from call to call, or whose numbers are none."""
    from torch.nn.modules.batchnorm import _BatchNorm
    from torch.nn.modules.dropout import _DropoutNd
    from torch.nn.parameter import is_lazy

    for name, module in model.named_modules():
        what, kind = _named(name), type(module).__name__
        if isinstance(module, (_BatchNorm, _DropoutNd)) and module.training:
            raise ConfigError(f"{what} is a {kind} in training mode: call model.eval() first.")
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise ConfigError(
                f"{what} is a {kind} without running statistics, which no affine map equals: "
                "build it with track_running_stats=True."
            )
        own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        for part, value in own:
            lazy = is_lazy(value)  # the run below makes it
            if not lazy and value.is_floating_point() and not value.isfinite().all():
                raise ConfigError(
                    f"{what} ({kind}) has a {part} that is not finite: check the training that "
                    "produced it for divergence."
                )


def _named(name: str) -> str:
    return f"layer {name}" if name else "the model"


def _twin(model: "nn.Module") -> "nn.Module":
    """Return a float64 copy in evaluation mode."""
    from torch import Tensor

    kept = (value for module in model.modules() for value in vars(module).values())
    # Pruning and the older weight norm keep a computed weight, which torch does not copy.
    memo = {id(t): t.detach().clone() for t in kept if isinstance(t, Tensor) and not t.is_leaf}
    return copy.deepcopy(model, memo).cpu().double().eval()


def _linear_input(model: "nn.Module") -> tuple[int, ...]:
    """Return the shape (n,) that the first layer with weights takes, if it is an nn.Linear."""
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            return (module.in_features,)
        if next(module.parameters(recurse=False), None) is not None:
            raise ConfigError(
                f"{_named(name)} is the first with weights and no nn.Linear, so the input's shape "
                "is not known: read it with from_torch(model, input_shape), such as (1, 28, 28)."
            )
    raise ConfigError(
        "the model has no layer with weights, so the input's shape is not known: read it with "
        "from_torch(model, input_shape)."
    )


def _compare(trace: "Trace", model: "nn.Module", shape: tuple[int, ...]) -> None:
    """Refuse a model that computes something else than what was read, on random inputs."""
    import torch

    generator = torch.Generator().manual_seed(0)
    points = torch.randn(32, *shape, dtype=torch.float64, generator=generator)
    points[16:] *= 10
    read = torch.from_numpy(trace.network(points.flatten(1).numpy()))
    if trace.final is not None:
        read = trace.final(read)
    try:
        with torch.no_grad():
            scores = _scores(model, points)
        apart = torch.abs(scores - read)
        same = bool((apart <= TOLERANCE.read * scores.abs().max()).all())
    except (AttributeError, RuntimeError, TypeError, ValueError):
        same = False
    if not same:
        raise ConfigError(
            f"the model ({type(model).__name__}) computes something else on random inputs than "
            "what was read from it: its forward must treat every row of a batch by itself, without "
            "randomness, decisions by values or writing into parts of tensors."
        )


def _scores(model: "nn.Module", points: "Tensor") -> "Tensor":
    """Return the model's outputs (N, classes), of all points at once if it can."""
    import torch

    try:
        scores = torch.as_tensor(model(points))
        if scores.shape[:1] == points.shape[:1]:
            return scores.flatten(1)
    except RuntimeError:
        pass  # the forward is written for one row, as it may be in an ONNX file
    return torch.cat([torch.as_tensor(model(point[None])).reshape(1, -1) for point in points])
