"""Residual layers side by side are as good as one after the other (bermeitinger2023shallow).

Layers F_1, ..., F_D of equal inputs and outputs stand in ``sequential`` order,
h_k = h_{k-1} + F_k(h_{k-1}) from h_0 = x, or are ``parallel``, h = x + Σ_k F_k(x); ``broad`` is the
same computed as one layer with all neurons, and ``plain`` a sequence without the skips. Here F_k is
an affine map and a ReLU, so a parallel network has one hidden layer.

Kept alone, the layers of a set R make a stack whose output is h^R. The term of a set S is
Σ_{R ⊆ S} (-1)^{#S-#R} h^R, that of order q sums it over #S = q: all orders add up to h_D, orders
0 and 1 are the parallel layout, and of linear layers it is the expansion of Π (I + A_k) x.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.local import IsolatedNetwork
from localbook.tropical import LinearRegions, from_torch, linear_regions, plane_through

LAYOUTS = ("sequential", "parallel", "broad", "plain")
_MOST = 16  # layers of an expansion: it runs 2^D stacks


class Stack(nn.Module):
    """Layers in one of the layouts.

    Parameters
    ----------
    layers : sequence of nn.Module
        F_1, ..., F_D, each from (N, ...) to the same shape; for ``broad`` an affine map and a ReLU,
        with kernels of one kind.
    layout : str
        "sequential", "parallel", "broad" or "plain"; it may be changed, the parameters stay.
    """

    def __init__(self, layers: Sequence[nn.Module], layout: str) -> None:
        super().__init__()
        if layout not in LAYOUTS or not len(layers):
            raise ConfigError(
                f"layout={layout!r}, {len(layers)} layers: give one of {', '.join(LAYOUTS)}, and "
                "at least one layer."
            )
        self.layers: Any = nn.ModuleList(layers)
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        """Return h (N, ...) of x (N, ...)."""
        h = x
        if self.layout == "broad":
            neurons: Any = self._all_neurons(x).relu()
            return x.add(neurons.unflatten(1, (len(self.layers), -1)).sum(dim=1))
        for layer in self.layers:
            out = layer(x if self.layout == "parallel" else h)
            h = out if self.layout == "plain" else h.add(out)
        return h

    def _all_neurons(self, x: Tensor) -> Tensor:
        first, *_ = affine = [layer[0] for layer in self.layers]
        weight, bias = (torch.cat([getattr(a, n) for a in affine]) for n in ("weight", "bias"))
        if isinstance(first, nn.Linear):
            return F.linear(x, weight, bias)
        return F.conv2d(x, weight, bias, padding=first.padding, dilation=first.dilation)


def network(
    shape: Sequence[int],
    classes: int,
    layout: str,
    *,
    depth: int,
    width: int,
    kernel: int | None,
    spread: bool = False,
    patch: int = 1,
    seed: int,
) -> nn.Sequential:
    """Return an affine stem, a :class:`Stack` and an affine head.

    The numbers at the start depend on the seed and the sizes, not on the layout.

    Parameters
    ----------
    shape : (C, H, H), or any for dense layers
    classes : int
    layout : str
    depth, width : int
        D layers, each with so many channels or neurons.
    kernel : int or None
        Side of the layers' kernels, odd; None for dense layers.
    spread : bool
        Layer k has a kernel with its weights k pixels apart, so that parallel layers together see
        what sequential ones see: as far as 2 D + 1 pixels, or the whole image.
    patch : int
        A stem of patches of so many pixels; of 3 x 3 convolutions if it is 1.
    seed : int
    """
    if min(depth, width, classes) < 1 or (kernel is not None and (kernel < 1 or kernel % 2 == 0)):
        raise ConfigError(
            f"depth={depth}, width={width}, classes={classes}, kernel={kernel}: give positive "
            "numbers, and an odd kernel or None."
        )
    with seeded(seed):
        if kernel is None:
            stem = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width))
            affine: list[nn.Module] = [nn.Linear(width, width) for _ in range(depth)]
            head = nn.Sequential(nn.Linear(width, classes))
        else:
            first = (3, 1, 1) if patch == 1 else (patch, patch)
            stem = nn.Sequential(nn.Conv2d(shape[0], width, *first))
            side = shape[-1] // patch
            apart = [1 + k % max(1, side - 1) if spread else 1 for k in range(depth)]
            affine = [nn.Conv2d(width, width, kernel, 1, kernel // 2 * a, a) for a in apart]
            places = max(1, side // 2) ** 2
            head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(width * places, classes))
    layers = [nn.Sequential(each, nn.ReLU()) for each in affine]
    return nn.Sequential(stem, Stack(layers, layout), head)


@torch.no_grad()
def expansion(layers: Sequence[nn.Module], x: Any) -> Tensor:
    """Return the terms of order 0, ..., D (D + 1, N, ...) of the sequential stack at x (N, ...).

    All 2^D stacks are run, on four inputs at a time; in float64, as their sums cancel.
    """
    D = len(layers)
    if not 1 <= D <= _MOST:
        raise ConfigError(f"{D} layers: an expansion runs 2^D stacks; give 1 to {_MOST} layers.")
    found = []
    for part in x.split(4):
        kept = [part[None]]  # h^R by the size of R: (C(k, |R|), n, ...)
        for layer in layers:
            longer = [h + layer(h.flatten(0, 1)).unflatten(0, h.shape[:2]) for h in kept]
            both = zip((*kept, longer[-1][:0]), (longer[0][:0], *longer), strict=True)
            kept = [torch.cat(two) for two in both]
        found.append(torch.stack([h.sum(dim=0) for h in kept]))
    sums = torch.cat(found, dim=1)  # (D + 1, N, ...)
    signs = [
        [(-1) ** (q - j) * math.comb(D - j, q - j) if j <= q else 0 for j in range(D + 1)]
        for q in range(D + 1)
    ]
    terms: Tensor = torch.tensordot(torch.tensor(signs, dtype=x.dtype), sums, dims=1)
    return terms


def bounds(s: ArrayLike) -> Floats:
    """Return e_0, ..., e_D, the elementary symmetric polynomials of Lipschitz constants s (D,).

    Of linear layers the term of order q is at most e_q ‖x‖. Of any layers with ‖F_k(0)‖ <= c s_k
    all orders from the second on are *together* at most (e_2 + ... + e_D)(‖x‖ + c).
    """
    return np.poly(-np.asarray(s)).astype(np.float64)


@torch.no_grad()
def constants(stack: Stack, example: Tensor) -> tuple[Floats, float]:
    """Return the Lipschitz constants s (D,) of a stack's layers, and the smallest c for them.

    ``example`` (N, ...) is an input: a convolution's norm depends on its size.
    """
    size = example[0].numel()
    basis = torch.eye(size, dtype=example.dtype).reshape(size, *example.shape[1:])
    s, c = [], 0.0
    for layer in stack.layers:
        shift = layer[0](torch.zeros_like(basis[:1]))
        matrix = (layer[0](basis) - shift).flatten(1)
        s.append(float(torch.linalg.matrix_norm(matrix, 2)))
        c = max(c, float(shift.relu().norm()) / max(s[-1], 1e-300))
    return np.array(s), c


def fold(depth: int) -> Stack:
    """Return D sequential layers of one neuron that fold [-1, 1] into 2^D pieces.

    F_k(h) = max(0, 2 (c_k - h)) reflects what is below c_k = 1 - 2^{1-k}, half of what is there.
    """
    layers = []
    for k in range(depth):
        affine = nn.Linear(1, 1, dtype=torch.float64)
        nn.init.constant_(affine.weight, -2.0)
        nn.init.constant_(affine.bias, 2 * (1 - 2.0**-k))
        layers.append(nn.Sequential(affine, nn.ReLU()))
    return Stack(layers, "sequential")


def regions(net: nn.Module, a: Tensor, b: Tensor, c: Tensor) -> LinearRegions:
    """Return the linear regions of a network in the box around three inputs, in their plane."""
    plane = plane_through(a, b, c)
    corners = plane.coordinates(np.stack([np.ravel(point) for point in (a, b, c)]))
    (x0, x1), (y0, y1) = zip(corners.min(axis=0), corners.max(axis=0), strict=True)
    return linear_regions(plane.restrict(from_torch(net, tuple(a.shape))), ((x0, x1), (y0, y1)))


class _Branch(nn.Module):
    """A parallel layer in a chain whose signal (N, 3 w, ...) is x, x + F_1 + ... + F_k, x + F_k."""

    def __init__(self, layer: nn.Module, stem: nn.Module | None) -> None:
        super().__init__()
        self.layer, self.stem = layer, stem

    def forward(self, signal: Tensor) -> Tensor:
        x, h, _ = signal.chunk(3, dim=1) if self.stem is None else [self.stem(signal)] * 3
        own = self.layer(x)
        return torch.cat([x, h + own, x + own], dim=1)


class _Part(nn.Module):
    """From a signal (N, 3 w, ...) its part (N, w, ...)."""

    def __init__(self, part: int) -> None:
        super().__init__()
        self.part = part

    def forward(self, signal: Tensor) -> Tensor:
        return signal.chunk(3, dim=1)[self.part]


def isolated(net: Any, *, alone: bool = False, seed: int) -> IsolatedNetwork:
    """Return a network's layers as gradient-isolated modules, each with a head like its own.

    The stem belongs to the first. A head of a sequential stack reads h_k. In a parallel one it
    reads x + F_1(x) + ... + F_k(x), or x + F_k(x) if ``alone``; the last reads all. The network's
    parts are used, not copied; the other heads are drawn from the seed.
    """
    stem, stack, head = net
    heads = [deepcopy(head) for _ in range(len(stack.layers) - 1)]
    with seeded(seed):
        for copy in heads:
            copy[-1].reset_parameters()
    heads.append(head)
    layers, last = stack.layers, len(heads) - 1
    if stack.layout == "sequential":
        modules: list[nn.Module] = [Stack([layer], stack.layout) for layer in layers]
        modules[0] = nn.Sequential(stem, modules[0])
    elif stack.layout == "parallel":
        modules = [_Branch(layer, None if k else stem) for k, layer in enumerate(layers)]
        heads = [nn.Sequential(_Part(1 + (alone and k < last)), h) for k, h in enumerate(heads)]
    else:
        raise ConfigError(f"layout={stack.layout!r} has no modules; take sequential or parallel.")
    return IsolatedNetwork(modules, heads)
