"""ONNX operators as functions of torch: of their attributes and inputs."""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np
import torch

from localbook.errors import ConfigError

Attributes = dict[str, Any]


def _numbers(values: Any) -> list[int]:
    return [int(value) for value in np.ravel(np.asarray(values))]


def _given(attributes: Attributes, key: str, inputs: tuple[Any, ...], place: int) -> Any:
    """Return what is an input in newer files and an attribute in older ones."""
    if len(inputs) > place:
        return inputs[place]
    return attributes.get(key)


def _sides(attributes: Attributes, x: Any, kernel: list[int]) -> tuple[list[int], list[int]]:
    """Return how many zeros stand before and after each axis of an image."""
    auto = attributes.get("auto_pad", b"NOTSET").decode()
    count = len(kernel)
    strides = attributes.get("strides", [1] * count)
    dilations = attributes.get("dilations", [1] * count)
    if auto == "NOTSET":
        pads = list(attributes.get("pads", [0] * (2 * count)))
        return pads[:count], pads[count:]
    before, after = [], []
    for size, width, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        reach = (math.ceil(size / stride) - 1) * stride + (width - 1) * dilation + 1
        total = 0 if auto == "VALID" else max(0, reach - size)
        before.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
        after.append(total - before[-1])
    return before, after


def _padded(x: Any, before: list[int], after: list[int], **how: Any) -> Any:
    """Return a tensor padded along its last axes."""
    pairs = [n for pair in zip(before[::-1], after[::-1], strict=True) for n in pair]
    return torch.nn.functional.pad(x, pairs, **how) if any(pairs) else x


def _convolution(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    kernel = list(weight.shape[2:])
    x = _padded(x, *_sides(attributes, x, kernel))
    return torch.convolution(
        x, weight, bias, attributes.get("strides", [1] * len(kernel)), [0] * len(kernel),
        attributes.get("dilations", [1] * len(kernel)), False, [0] * len(kernel),
        attributes.get("group", 1),
    )  # fmt: skip


def _transposed_convolution(attributes: Attributes, x: Any, weight: Any, bias: Any = None) -> Any:
    count = weight.ndim - 2
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or "output_shape" in attributes:
        raise ConfigError("a ConvTranspose with auto_pad or output_shape: give its pads instead.")
    pads = attributes.get("pads", [0] * (2 * count))
    out = torch.convolution(
        x, weight, bias, attributes.get("strides", [1] * count), [0] * count,
        attributes.get("dilations", [1] * count), True,
        attributes.get("output_padding", [0] * count), attributes.get("group", 1),
    )  # fmt: skip
    for axis, (before, after) in enumerate(zip(pads[:count], pads[count:], strict=True), start=2):
        out = out.narrow(axis, before, out.shape[axis] - before - after)
    return out


def _pool(kind: str, attributes: Attributes, x: Any) -> Any:
    kernel = list(attributes["kernel_shape"])
    before, after = _sides(attributes, x, kernel)
    strides, ceil = attributes.get("strides", [1] * len(kernel)), attributes.get("ceil_mode", 0)
    if before != after:
        raise ConfigError(f"a pooling layer pads {before} before and {after} after: give it alike.")
    function = getattr(torch.nn.functional, f"{kind}_pool{len(kernel)}d")
    if kind == "max":
        dilations = attributes.get("dilations", [1] * len(kernel))
        return function(x, kernel, strides, before, dilations, bool(ceil))
    return function(
        x, kernel, strides, before, bool(ceil), bool(attributes.get("count_include_pad", 0))
    )


def _gemm(attributes: Attributes, a: Any, b: Any, c: Any = None) -> Any:
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    out = (a @ b) * attributes.get("alpha", 1.0)
    return out if c is None else out + c * attributes.get("beta", 1.0)


def _batch_norm(attributes: Attributes, x: Any, *rest: Any) -> Any:
    scale, bias, mean, variance = rest
    eps = attributes.get("epsilon", 1e-5)
    return torch.nn.functional.batch_norm(x, mean, variance, scale, bias, eps=eps)


def _clip(attributes: Attributes, x: Any, *bounds: Any) -> Any:
    low, high = (_given(attributes, key, bounds, k) for k, key in enumerate(("min", "max")))
    return x.clamp(*(None if b is None else float(b) for b in (low, high)))


def _leaky_relu(attributes: Attributes, x: Any) -> Any:
    return torch.nn.functional.leaky_relu(x, attributes.get("alpha", 0.01))


def _prelu(attributes: Attributes, x: Any, slope: Any) -> Any:
    if slope.numel() in (1, x.shape[1]) and slope.numel() == max(slope.shape, default=1):
        return torch.nn.functional.prelu(x, slope.reshape(-1))
    return x.relu() - slope * (-x).relu()


def _pad(attributes: Attributes, x: Any, *inputs: Any) -> Any:
    pads = _numbers(_given(attributes, "pads", inputs, 0))
    if len(inputs) > 2 and inputs[2] is not None:
        raise ConfigError("a Pad with axes of its own: give pads for all axes instead.")
    value = _given(attributes, "value", inputs, 1)
    mode = {"edge": "replicate", "wrap": "circular"}.get(
        name := attributes.get("mode", b"constant").decode(), name
    )
    before, after = pads[: x.ndim], pads[x.ndim :]
    if mode == "constant":
        return _padded(x, before, after, value=float(value or 0))
    return _padded(x, before[2:], after[2:], mode=mode)


def _reduce(name: str, attributes: Attributes, x: Any, *inputs: Any) -> Any:
    axes = _given(attributes, "axes", inputs, 0)
    chosen = list(range(x.ndim)) if axes is None else _numbers(axes)
    return getattr(x, name)(dim=chosen, keepdim=bool(attributes.get("keepdims", 1)))


def _reshape(attributes: Attributes, x: Any, shape: Any) -> Any:
    return x.reshape([x.shape[k] if n == 0 else n for k, n in enumerate(_numbers(shape))])


def _flatten(attributes: Attributes, x: Any) -> Any:
    return x.reshape(math.prod(x.shape[: attributes.get("axis", 1)]), -1)


def _slice(attributes: Attributes, x: Any, *inputs: Any) -> Any:
    starts, ends, axes, steps = (
        _given(attributes, key, inputs, k)
        for k, key in enumerate(("starts", "ends", "axes", "steps"))
    )
    starts, ends = _numbers(starts), _numbers(ends)
    axes = range(len(starts)) if axes is None else _numbers(axes)
    steps = [1] * len(starts) if steps is None else _numbers(steps)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = range(*slice(start, end, step).indices(x.shape[axis]))
        x = x.index_select(axis, torch.tensor(list(places), dtype=torch.long))
    return x


def _gather(attributes: Attributes, x: Any, index: Any) -> Any:
    axis = attributes.get("axis", 0) % x.ndim
    places = index.reshape(-1).long() % x.shape[axis]
    out = x.index_select(axis, places)
    return out.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


def _squeeze(attributes: Attributes, x: Any, *inputs: Any) -> Any:
    axes = _given(attributes, "axes", inputs, 0)
    return x.squeeze() if axes is None else x.squeeze(tuple(_numbers(axes)))


def _unsqueeze(attributes: Attributes, x: Any, *inputs: Any) -> Any:
    axes = _numbers(_given(attributes, "axes", inputs, 0))
    count = x.ndim + len(axes)
    for axis in sorted(axis % count for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _split(attributes: Attributes, x: Any, *inputs: Any) -> Any:
    axis, sizes = attributes.get("axis", 0), _given(attributes, "split", inputs, 0)
    if sizes is None:
        return x.chunk(attributes["num_outputs"], axis)
    return x.split(_numbers(sizes), axis)


def _shape(attributes: Attributes, x: Any) -> Any:
    return torch.tensor(list(x.shape))[attributes.get("start", 0) : attributes.get("end")]


def _of_torch(name: str) -> Callable[..., Any]:
    def function(attributes: Attributes, *values: Any) -> Any:
        return reduce(getattr(torch, name), values)

    return function


def _softmax(name: str, attributes: Attributes, x: Any) -> Any:
    return getattr(x, name)(dim=attributes.get("axis", -1))


def _concat(attributes: Attributes, *values: Any) -> Any:
    return torch.cat(values, dim=attributes["axis"])


OPERATORS: dict[str, Callable[..., Any]] = {
    "Abs": lambda attributes, x: x.abs(),
    "Add": _of_torch("add"),
    "AveragePool": partial(_pool, "avg"),
    "BatchNormalization": _batch_norm,
    "Cast": lambda attributes, x: x,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Div": _of_torch("div"),
    "Dropout": lambda attributes, x, *rest: x,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda attributes, x: x.mean(dim=list(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda attributes, x: x.amax(dim=list(range(2, x.ndim)), keepdim=True),
    "Identity": lambda attributes, x: x,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": partial(_softmax, "log_softmax"),
    "MatMul": _of_torch("matmul"),
    "Max": _of_torch("maximum"),
    "MaxPool": partial(_pool, "max"),
    "Min": _of_torch("minimum"),
    "Mul": _of_torch("mul"),
    "Neg": lambda attributes, x: -x,
    "PRelu": _prelu,
    "Pad": _pad,
    "ReduceMax": partial(_reduce, "amax"),
    "ReduceMean": partial(_reduce, "mean"),
    "ReduceSum": partial(_reduce, "sum"),
    "Relu": lambda attributes, x: x.relu(),
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": partial(_softmax, "softmax"),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _of_torch("sub"),
    "Sum": _of_torch("add"),
    "Transpose": lambda attributes, x: x.permute(list(attributes["perm"])),
    "Unsqueeze": _unsqueeze,
}
