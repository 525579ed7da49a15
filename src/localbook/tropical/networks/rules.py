"""What each operation of torch is: an affine map, or neurons."""

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from localbook.arrays import Floats, Indices
from localbook.tropical.networks import forms
from localbook.tropical.networks.blocks import Block, BlockMatrix
from localbook.tropical.networks.forms import Form
from localbook.tropical.networks.tracing import Rule, Trace, Traced, constant, zeros

PROBES = 2**22
"""Numbers of the unit images that a pooling layer is tried on at a time."""


def moving(trace: Trace, func: Any, args: Any, kwargs: Any) -> Any:
    """Read what only moves numbers, by moving their places."""
    pieces: list[Traced] = []
    total = 0

    def places(value: Any) -> Any:
        nonlocal total
        if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
            return [places(v) for v in value]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        pieces.append(trace.of(value))
        start, total = total, total + value.numel()
        return torch.arange(start + 1.0, total + 1, dtype=torch.float64).reshape(value.shape)

    fill = None
    if func is torch.nn.functional.pad:
        args = [*args, *(kwargs.pop(k, d) for k, d in _PADDING[len(args) :])]
        fill = args.pop()
    moved = func(*[places(arg) for arg in args], **kwargs)
    found = forms.stacked([piece.form for piece in pieces])

    def read(place: Tensor) -> Traced:
        index = place.reshape(-1).long().numpy() - 1
        form = found.select(index)
        form = Form(form.parts, np.where(index < 0, float(fill or 0), form.offset))
        return Traced(form, place.shape, trace)

    return read(moved) if isinstance(moved, Tensor) else [read(part) for part in moved]


_PADDING: tuple[tuple[str, Any], ...] = (
    ("input", None), ("pad", None), ("mode", "constant"), ("value", 0.0),
)  # fmt: skip


def addition(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read a sum or a difference."""
    shape = func(*zeros(args), **kwargs).shape
    first, second = (trace.of(arg, shape).form for arg in args[:2])
    alpha = float(kwargs.get("alpha", args[2] if len(args) > 2 else 1))
    name = func.overloadpacket.__name__
    first, second = (second, first) if name == "rsub" else (first, second)
    form = first + second.scaled(alpha if name.startswith("add") else -alpha)
    if len(form.parts) > 2:  # fewer values to pass on
        form = trace.graph.neurons(form, 1.0)
    return Traced(form, shape, trace)


def multiple(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read a product with, or a quotient by, a constant."""
    shape = func(*zeros(args), **kwargs).shape
    divides = func.overloadpacket.__name__.startswith("div")
    first, second = args[:2]
    if isinstance(second, Traced) and not divides:
        first, second = second, first
    if isinstance(second, Traced) or kwargs:
        raise trace.refusal("multiplies or divides by a value that depends on the input")
    factor = constant(second)
    factors = np.broadcast_to(1 / factor if divides else factor, shape).reshape(-1)
    return Traced(trace.of(first, shape).form.scaled(factors), shape, trace)


def matrix_product(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read products with a constant matrix: mm, bmm, mv and addmm."""
    name = func.overloadpacket.__name__
    shape = func(*zeros(args), **kwargs).shape
    first, second = args[1:] if name == "addmm" else args
    if isinstance(first, Traced) == isinstance(second, Traced):
        raise trace.refusal("multiplies two values that depend on the input")
    factors = []
    for factor in (first, second):  # (products, rows, columns) each
        places = np.arange(factor.numel()) if isinstance(factor, Traced) else constant(factor)
        size = (*factor.shape, 1) if factor.ndim == 1 else factor.shape[-2:]
        factors.append(np.reshape(places, (-1, *size)))
    left, right = factors
    outputs = np.arange(math.prod(shape)).reshape(len(left), left.shape[1], right.shape[2])
    value = first if isinstance(first, Traced) else second
    if value is first:  # the transposed product, with the constant on the left
        left, right, outputs = (m.transpose(0, 2, 1) for m in (right, left, outputs))
    blocks = [
        Block(rows, columns, np.ascontiguousarray(weight))
        for rows, columns, weight in zip(outputs, right, left, strict=True)
    ]
    matrix = forms.of_blocks((outputs.size, value.numel()), blocks)
    form = trace.graph.affine(matrix, np.zeros(outputs.size), value.form)
    if name == "addmm":
        form = form.scaled(float(kwargs.get("alpha", 1)))
        form += trace.of(args[0], shape).form.scaled(float(kwargs.get("beta", 1)))
    return Traced(form, shape, trace)


def convolution(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read a convolution; a transposed one is the transposed matrix of one."""
    value, kernel, bias, stride, padding, dilation, transposed, _, groups = args
    if isinstance(kernel, Traced):
        raise trace.refusal("convolves with a kernel that depends on the input")
    shape = func(*zeros(args)).shape
    images = (shape[1:], value.shape[1:]) if transposed else (value.shape[1:], shape[1:])
    matrix = _convolution_matrix(constant(kernel), *images, (stride, padding, dilation), groups)
    matrix = matrix.transposed if transposed else matrix
    shift = np.zeros(shape[1]) if bias is None else constant(bias)
    form = trace.graph.affine(matrix, np.repeat(shift, math.prod(shape[2:])), value.form)
    return Traced(form, shape, trace)


def _convolution_matrix(
    kernel: Floats, inner: Sequence[int], outer: Sequence[int], steps: Any, groups: int
) -> BlockMatrix:
    """Return the matrix of a convolution from images ``inner`` to ``outer`` (channels, ...)."""
    outs, ins, *taps = kernel.shape
    count, pixels, places = math.prod(taps), math.prod(inner[1:]), math.prod(outer[1:])
    kernel = kernel.reshape(outs, ins, count)
    probe = torch.eye(count, dtype=torch.float64).reshape(count, 1, *taps)
    number = torch.arange(1.0, pixels + 1, dtype=torch.float64).reshape(1, 1, *inner[1:])
    stride, padding, dilation = steps
    flat = [0] * len(taps)
    seen = torch.convolution(number, probe, None, stride, padding, dilation, False, flat, 1)
    seen = seen.numpy()[0][(slice(None), *map(slice, outer[1:]))]
    pixel = seen.reshape(count, places).astype(np.intp) - 1  # under each tap; -1 in the padding
    blocks = []
    for met in np.unique(pixel >= 0, axis=1).T:  # all taps inside, fewer at the border
        here = np.flatnonzero(((pixel >= 0) == met[:, None]).all(axis=0))
        taken = pixel[np.ix_(met, here)]  # (taps, places)
        for group in range(groups if met.any() else 0):
            own = np.arange(group * outs // groups, (group + 1) * outs // groups)
            channel = np.arange(group * ins, (group + 1) * ins)
            columns = (channel[:, None, None] * pixels + taken).reshape(-1, len(here))
            weight = kernel[own][:, :, met].reshape(len(own), -1)
            blocks.append(Block(own[:, None] * places + here, columns, weight))
    return forms.of_blocks((outs * places, groups * ins * pixels), blocks)


def batch_norm(trace: Trace, func: Any, args: Any, kwargs: Any) -> Any:
    """Read batch normalisation with fixed statistics."""
    value, weight, bias, mean, variance = args[:5]
    if func.overloadpacket.__name__ == "native_batch_norm" and args[5]:
        raise trace.refusal("normalises by the batch's own statistics")
    scale = 1 / np.sqrt(constant(variance) + args[-1])
    scale = scale if weight is None else scale * constant(weight)
    shift = -constant(mean) * scale + (0 if bias is None else constant(bias))
    count = math.prod(value.shape[2:])
    form = value.form.scaled(np.repeat(scale, count)) + Form({}, np.repeat(shift, count))
    return Traced(form, value.shape, trace), *torch.zeros(2, 0)


def pooling(trace: Trace, func: Any, args: Any, kwargs: Any) -> Any:
    """Read average and max pooling, by what it makes of images with one pixel on."""
    value, name = args[0], func.overloadpacket.__name__
    shape = _first(func(zeros(value), *args[1:], **kwargs)).shape
    axes = int(re.sub(r"\D", "", name))
    channels, image = math.prod(value.shape[:-axes]), value.shape[-axes:]
    pixels = math.prod(image)
    step = max(1, PROBES // pixels)
    rows = []
    for start in range(0, pixels, step):
        units = torch.eye(min(step, pixels - start), dtype=torch.float64)
        units = torch.nn.functional.pad(units, (start, pixels - start - len(units)))
        made = _first(func(units.reshape(-1, 1, *image), *args[1:], **kwargs))
        rows.append(sparse.csr_array(made.reshape(len(units), -1).numpy()))
    each = sparse.kron(sparse.eye_array(channels), sparse.vstack(rows).T, format="csr")
    each.eliminate_zeros()
    if "max" not in name:
        form = trace.graph.affine(forms.of_sparse(each), np.zeros(each.shape[0]), value.form)
        return Traced(form, shape, trace)
    out = Traced(trace.graph.largest(value.form, windows(each)), shape, trace)
    return out, torch.zeros(shape, dtype=torch.long)


def _first(out: Any) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]


def windows(incidence: Any) -> Indices:
    """Return the columns of each row's non-zeros (k, most), with -1 where there are fewer."""
    count = np.diff(incidence.indptr)
    table = np.full((len(count), int(count.max(initial=1))), -1)
    table[np.arange(table.shape[1]) < count[:, None]] = incidence.indices
    return table


def reduction(trace: Trace, func: Any, args: Any, kwargs: Any) -> Any:
    """Read sums, means, largest and smallest entries along axes."""
    value, name = args[0], func.overloadpacket.__name__
    made = func(zeros(value), *args[1:], **kwargs)
    shape = _first(made).shape
    axes = args[1] if len(args) > 1 and args[1] != [] else range(value.ndim)
    axes = [axis % value.ndim for axis in (axes if isinstance(axes, Sequence) else [axes])]
    kept = [axis for axis in range(value.ndim) if axis not in axes]
    number = np.arange(value.numel()).reshape(value.shape)
    table = number.transpose(*kept, *axes).reshape(math.prod(shape), -1)
    if name.endswith(("max", "min")):
        sign = 1.0 if name.endswith("max") else -1.0
        form = trace.graph.largest(value.form.scaled(sign), table).scaled(sign)
        out = Traced(form, shape, trace)
        return out if isinstance(made, Tensor) else (out, torch.zeros(shape, dtype=torch.long))
    weights = np.full(table.size, 1 / table.shape[1] if name == "mean" else 1.0)
    starts = np.arange(0, table.size + 1, table.shape[1])
    sums = sparse.csr_array((weights, table.ravel(), starts), shape=(len(table), table.size))
    form = trace.graph.affine(forms.of_sparse(sums), np.zeros(len(table)), value.form)
    return Traced(form, shape, trace)


def sloped(slope: float | None, default: float = 0.01) -> Rule:
    """Return the rule for neurons of a slope below zero, which may be the second argument."""

    def rule(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
        value = args[0]
        given = constant(args[1] if len(args) > 1 else default) if slope is None else slope
        slopes = np.broadcast_to(given, value.shape).ravel()
        return Traced(trace.graph.neurons(value.form, slopes), value.shape, trace)

    return rule


def bounded(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read values kept between a least and a greatest one."""
    value, name = args[0], func.overloadpacket.__name__
    default = (-1.0, 1.0) if name.startswith("hardtanh") else (None, None)
    bounds = [*args[1:], *default[len(args) - 1 :]]
    if name.startswith("clamp_max"):
        bounds = [None, args[1]]
    low, high = (kwargs.get(k, b) for k, b in zip(("min", "max"), bounds, strict=True))
    form = value.form
    if low is not None:
        least = trace.of(low, value.shape).form
        form = trace.graph.neurons(form + least.scaled(-1.0), 0.0) + least
    if high is not None:
        most = trace.of(high, value.shape).form
        form = most + trace.graph.neurons(most + form.scaled(-1.0), 0.0).scaled(-1.0)
    return Traced(form, value.shape, trace)


def larger(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read the larger of two tensors, or the smaller."""
    sign = 1.0 if func.overloadpacket.__name__ == "maximum" else -1.0
    shape = func(*zeros(args)).shape
    both = forms.stacked([trace.of(arg, shape).form.scaled(sign) for arg in args])
    table = np.arange(len(both)).reshape(2, -1).T
    return Traced(trace.graph.largest(both, table).scaled(sign), shape, trace)


def softmax(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read a last softmax, which leaves the order of the scores."""
    value, axis = args[:2]
    if value.shape[axis] != value.numel():
        raise trace.refusal("takes a softmax of other things than all scores")
    trace.final = partial(torch.log_softmax if "log" in str(func) else torch.softmax, dim=1)
    return same(trace, func, args, kwargs)


def negative(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read a change of sign."""
    return Traced(args[0].form.scaled(-1.0), args[0].shape, trace)


def same(trace: Trace, func: Any, args: Any, kwargs: Any) -> Traced:
    """Read what copies a tensor."""
    return Traced(args[0].form, args[0].shape, trace)


def fixed(trace: Trace, func: Any, args: Any, kwargs: Any) -> Any:
    """Read what only takes a tensor's shape."""
    return func(*zeros(args), **kwargs)


_NAMES: dict[Rule, str] = {
    moving: """_reshape_alias _unsafe_view cat diagonal expand flip gather index index_select pad
        permute pixel_shuffle pixel_unshuffle repeat reshape roll select slice split
        split_with_sizes squeeze stack t transpose unbind unfold unsqueeze upsample_nearest1d
        upsample_nearest2d upsample_nearest3d view""",
    pooling: """_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d
        avg_pool2d avg_pool3d max_pool2d_with_indices max_pool3d_with_indices
        upsample_bilinear2d""",
    same: "clone detach alias _to_copy lift_fresh",
    fixed: "zeros_like ones_like full_like new_zeros new_ones",
    matrix_product: "mm bmm mv addmm",
    reduction: "mean sum amax amin max min",
    bounded: "hardtanh clamp clamp_min clamp_max",
    batch_norm: "native_batch_norm _native_batch_norm_legit_no_training",
    softmax: "_softmax _log_softmax",
    sloped(0.0): "relu",
    sloped(None): "leaky_relu _prelu_kernel",
    sloped(-1.0): "abs",
    larger: "maximum minimum",
    addition: "add sub rsub",
    multiple: "mul div",
    negative: "neg",
    convolution: "convolution",
}

RULES: dict[str, Rule] = {name: rule for rule, names in _NAMES.items() for name in names.split()}
