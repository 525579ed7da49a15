"""From a torch model to a :class:`ReLUNetwork`, by what it computes."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from localbook.errors import ConfigError
from localbook.tropical.networks.network import ReLUNetwork

_SAME = 1e-9  # of the largest score: how far a network may be from the model it was read from

if TYPE_CHECKING:
    from torch import Tensor, nn


def as_network(model: "ReLUNetwork | nn.Module") -> ReLUNetwork:
    """Return ``model`` itself if it is a :class:`ReLUNetwork`, else convert it."""
    return model if isinstance(model, ReLUNetwork) else from_torch(model)


def from_torch(model: "nn.Module", input_shape: tuple[int, ...] | None = None) -> ReLUNetwork:
    """Return a torch model as affine maps with ReLUs between them, in float64.

    Parameters
    ----------
    model : nn.Module
        An nn.Linear, or an nn.Sequential (nested ones too) of ReLU and of layers that are affine:
        Linear, convolutions, average pooling, BatchNorm and Dropout in evaluation mode, Flatten,
        Unflatten, Identity. Consecutive affine layers become one matrix. Pruned, parametrised and
        normed weights, hooks and subclasses count by what they do in evaluation mode: the result is
        always compared with the model on random inputs.
    input_shape : tuple of int, optional
        Shape of one input without the batch, such as (3, 32, 32); may be left out when the first
        layer with weights is an nn.Linear. The network takes the input flattened.

    Raises
    ------
    ConfigError
        If a layer is of another kind or in training mode, the input shape is needed or wrong, or
        the model computes something else than its layers in turn. Attacks evaluate a model in
        whatever mode it is, for a moment; what is read here is kept, and should decide as the model
        goes on to do.

    Examples
    --------
    >>> import torch
    >>> from localbook import tropical
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> net = tropical.from_torch(model)
    >>> [weight.shape for weight in net.weights]
    [(3, 2), (2, 3)]
    """
    import torch

    list(_layers(model, ""))  # refuses what is in training mode
    twin = _twin(model)
    layers = list(_layers(twin, ""))
    shape = input_shape or _linear_input(layers)
    weights, biases = [], []
    with torch.no_grad():
        block = _AffineBlock(shape)
        for name, layer in layers:
            if isinstance(layer, torch.nn.ReLU):
                _check_relu(name, layer, block.offset)
                weights.append(block.matrix())
                biases.append(block.bias())
                block = _AffineBlock(tuple(block.offset.shape[1:]))
            else:
                block.append(name, layer)
        weights.append(block.matrix())
        biases.append(block.bias())
        network = ReLUNetwork(tuple(weights), tuple(biases))
        _compare(network, twin, shape)
    return network


def _twin(model: "nn.Module") -> "nn.Module":
    """Return a float64 copy in evaluation mode."""
    from torch import Tensor

    kept = (value for module in model.modules() for value in vars(module).values())
    # Pruning and the older weight norm keep a computed weight, which torch does not copy.
    memo = {id(t): t.detach().clone() for t in kept if isinstance(t, Tensor) and not t.is_leaf}
    return copy.deepcopy(model, memo).cpu().double().eval()


def _check_relu(name: str, layer: "nn.Module", like: "Tensor") -> None:
    """Refuse a ReLU that does something else, by a hook or a forward of its own."""
    import torch

    points = like.new_empty(4, *like.shape[1:])
    points.normal_(generator=torch.Generator().manual_seed(0))
    if not torch.equal(layer(points.clone()), points.clamp(min=0)):
        raise ConfigError(
            f"{name} ({type(layer).__name__}) does not compute the ReLU: "
            "remove its hooks, or give an nn.ReLU in place of a forward of its own."
        )


def _compare(network: ReLUNetwork, model: "nn.Module", shape: tuple[int, ...]) -> None:
    """Refuse a model that computes something else than what was read, on random inputs."""
    import torch

    generator = torch.Generator().manual_seed(0)
    points = torch.randn(32, *shape, dtype=torch.float64, generator=generator)
    points[16:] *= 10
    read = network(points.flatten(1).numpy())
    try:
        scores = model(points).flatten(1).numpy()
        same = bool((np.abs(scores - read) <= _SAME * np.abs(scores).max()).all())
    except (AttributeError, RuntimeError, TypeError, ValueError):
        same = False
    if not same:
        raise ConfigError(
            f"the model ({type(model).__name__}) computes something else than its layers in turn: "
            "give an nn.Sequential without hooks and without a forward of its own."
        )


def _layers(module: "nn.Module", name: str) -> "Iterator[tuple[str, nn.Module]]":
    """Yield the name and the layer of every layer, and refuse what is not affine nor ReLU."""
    from torch import nn

    reshaping = (nn.Flatten, nn.Unflatten, nn.Identity)
    convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    pooling = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
    adaptive = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
    frozen = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    dropout = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
    kind = type(module).__name__
    what = name or "the model"
    if isinstance(module, nn.Sequential):
        for child, layer in enumerate(module):  # named_children() would skip a reused ReLU
            yield from _layers(layer, f"{name}.{child}" if name else f"layer {child}")
    elif isinstance(module, (*frozen, *dropout)) and module.training:
        raise ConfigError(f"{what} is a {kind} in training mode: call model.eval() first.")
    elif isinstance(module, frozen) and module.running_mean is None:
        raise ConfigError(
            f"{what} is a {kind} without running statistics, which no affine map equals: "
            "build it with track_running_stats=True."
        )
    elif isinstance(
        module,
        (nn.Linear, nn.ReLU, *reshaping, *convolution, *pooling, *adaptive, *frozen, *dropout),
    ):
        yield what, module
    else:
        raise ConfigError(
            f"{what} is a {kind}, which is neither ReLU nor affine: "
            "give an nn.Sequential of ReLU, linear, convolution and average pooling layers."
        )


def _linear_input(layers: "list[tuple[str, nn.Module]]") -> tuple[int, ...]:
    """Return the shape (n,) that the first layer with weights takes, if it is an nn.Linear."""
    from torch import nn

    shapeless = (nn.Flatten, nn.Identity, nn.Dropout, nn.ReLU)
    for name, layer in layers:
        if isinstance(layer, nn.Linear):
            return (layer.in_features,)
        if not isinstance(layer, shapeless):
            raise ConfigError(
                f"{name} comes before any nn.Linear, so the input's shape is not known: "
                "pass input_shape, such as (1, 28, 28)."
            )
    raise ConfigError("the model has no layer with weights: there is nothing to convert.")


class _AffineBlock:
    """Consecutive affine layers as one matrix: the image of the unit vectors, and that of zero."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        import torch

        self.offset = torch.zeros(1, *shape, dtype=torch.float64)
        self.columns: Tensor | None = None  # (inputs, *shape); None for the identity
        self._inputs = self.offset.numel()

    def append(self, name: str, layer: "nn.Module") -> None:
        """Apply one more affine layer."""
        import torch
        from torch import nn

        shape = tuple(self.offset.shape[1:])
        try:
            zero = torch.zeros_like(self.offset)
            self.offset = layer(self.offset)
            if not _plain(layer):
                self.columns = layer(self._image_of_units(shape)) - layer(zero)
            elif self.columns is None and isinstance(layer, nn.Linear) and len(shape) == 1:
                self.columns = layer.weight.T  # spares the product with a large identity
            elif self.columns is not None or not isinstance(layer, (nn.Flatten, nn.Identity)):
                self.columns = _without_bias(copy.deepcopy(layer))(self._image_of_units(shape))
        except (RuntimeError, ValueError) as error:
            raise ConfigError(
                f"{name} ({type(layer).__name__}) cannot take an input of shape {shape}: "
                "pass the right input_shape to from_torch."
            ) from error

    def _image_of_units(self, shape: tuple[int, ...]) -> "Tensor":
        import torch

        if self.columns is not None:
            return self.columns
        return torch.eye(self._inputs, dtype=torch.float64).reshape(-1, *shape)

    def matrix(self) -> "NDArray[np.float64]":
        """Return the block's matrix (outputs, inputs)."""
        if self.columns is None:
            return np.eye(self._inputs)
        return np.ascontiguousarray(self.columns.flatten(1).T.numpy())

    def bias(self) -> "NDArray[np.float64]":
        """Return the block's bias (outputs,)."""
        return np.asarray(self.offset.flatten().numpy())


def _plain(layer: "nn.Module") -> bool:
    """Tell whether a layer is torch's own, with nothing added to what it computes."""
    hooks = (layer._forward_hooks, layer._forward_pre_hooks)
    return type(layer).__module__.startswith("torch.nn.modules") and not any(hooks)


def _without_bias(layer: "nn.Module") -> "nn.Module":
    """Return the linear part of an affine layer, which is changed: no digits cancel this way."""
    from torch import Tensor

    for name in ("bias", "running_mean"):
        constant = getattr(layer, name, None)
        if isinstance(constant, Tensor):
            constant.zero_()
    return layer
