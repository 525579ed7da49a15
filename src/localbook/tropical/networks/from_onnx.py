"""From an ONNX file to a :class:`ReLUNetwork`, such as those of the verification competitions."""

import os
from functools import partial
from typing import Any

import numpy as np

from localbook.errors import ConfigError
from localbook.tropical.networks.from_torch import from_torch
from localbook.tropical.networks.network import ReLUNetwork
from localbook.tropical.tolerance import TOLERANCE


def from_onnx(file: str | os.PathLike[str]) -> ReLUNetwork:
    """Return a piecewise linear network in an ONNX file as one in float64.

    Takes the operators that :func:`from_torch` takes as torch's; a last softmax is left out. Needs
    ``pip install localbook[onnx]``.

    Parameters
    ----------
    file : path
        A model of one input, whose first axis is the batch, and one output.

    Returns
    -------
    ReLUNetwork
        Compared with ONNX's own reference on random inputs.

    Raises
    ------
    ConfigError
        If the package onnx is missing, the file is not such a model, has another operator, or
        computes something else on random inputs.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ConfigError(
            "reading ONNX files needs the package onnx: pip install 'localbook[onnx]'."
        ) from error
    try:
        model = onnx.load(os.fspath(file))
    except (OSError, DecodeError) as error:
        raise ConfigError(f"{os.fspath(file)} cannot be read as an ONNX file ({error}).") from error
    names = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in names]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ConfigError(
            f"{os.fspath(file)} has {len(inputs)} inputs and {len(model.graph.output)} outputs: "
            "give a model with one of each."
        )
    shape: list[int] = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim]
    if len(shape) < 2 or shape[0] > 1 or 0 in shape[1:]:
        raise ConfigError(
            f"{os.fspath(file)} takes an input of shape {shape} (0 is unknown): only the first "
            "axis, the batch, may be unknown, and must else be 1."
        )
    network = from_torch(_module(model.graph, inputs[0].name), tuple(shape[1:]))
    _compare(network, model, inputs[0], shape[1:])
    return network


def _compare(network: ReLUNetwork, model: Any, given: Any, shape: list[int]) -> None:
    """Refuse a network that is not what ONNX's reference computes."""
    from onnx.helper import tensor_dtype_to_np_dtype
    from onnx.reference import ReferenceEvaluator

    runner, rng = ReferenceEvaluator(model), np.random.default_rng(0)
    kind = tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    last = model.graph.node[-1].op_type
    for size in (0.1, 1, 10):
        point = (size * rng.normal(size=(1, *shape))).astype(kind)
        try:
            (out,) = runner.run(None, {given.name: point})
        except Exception as error:  # it has no errors of its own
            raise ConfigError(
                f"ONNX's own reference, with which the network is compared, fails ({error}), as "
                "that of onnx 1.23 does for transposed convolutions in groups: give the PyTorch "
                "model that the file was made from to from_torch."
            ) from error
        expected = np.ravel(out)
        scores = network(point.reshape(1, -1))[0]
        if last in ("Softmax", "LogSoftmax"):
            scores = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
            expected = np.exp(expected) if last == "LogSoftmax" else expected
        if len(expected) != len(scores) or not np.allclose(
            scores, expected, rtol=0, atol=TOLERANCE.read_single * np.abs(expected).max()
        ):
            raise ConfigError(
                "the network computes something else than ONNX's reference on random inputs: an "
                "operator is read wrongly here; please report it with the file."
            )


def _module(graph: Any, given: str) -> Any:
    """Return the graph as a torch module, each operator by a function of torch."""
    import torch
    from onnx import helper, numpy_helper

    from localbook.tropical.networks.operators import OPERATORS

    constants = [(weight.name, numpy_helper.to_array(weight)) for weight in graph.initializer]
    nodes = []
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            ((kind, value),) = attributes.items()
            array = numpy_helper.to_array(value) if kind == "value" else np.asarray(value)
            constants.append((node.output[0], array))
        elif node.op_type in OPERATORS:
            nodes.append((partial(OPERATORS[node.op_type], attributes), node.input, node.output))
        else:
            raise ConfigError(
                f"{node.name or node.output[0]} is a {node.op_type}, which is not known as "
                f"piecewise linear: the operators that are read are {', '.join(OPERATORS)}."
            )

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for k, (_, array) in enumerate(constants):
                self.register_buffer(f"constant{k}", torch.tensor(array))

        def forward(self, x: torch.Tensor) -> Any:
            values: dict[str, Any] = {"": None, given: x}
            values |= {name: getattr(self, f"constant{k}") for k, (name, _) in enumerate(constants)}
            for function, inputs, outputs in nodes:
                made = function(*(values[name] for name in inputs))
                made = made if isinstance(made, (list, tuple)) else [made]
                values.update(zip(outputs, made, strict=False))
            return values[graph.output[0].name]

    return Graph()
