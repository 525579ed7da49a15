"""Auxiliary heads: what turns a module's output into class scores, and what that costs."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from localbook.errors import ConfigError
from localbook.fit import evaluating, seeded
from localbook.local.networks.models import ClassToken

_HIDDEN = 2  # hidden features of an MLP head, as a multiple of its input's channels


@dataclass(frozen=True)
class Cost:
    """What a module costs.

    Attributes
    ----------
    parameters : int
        Numbers that are trained.
    fixed : int
        Numbers in buffers: the weights of fixed heads, BatchNorm's statistics.
    multiply_adds : int
        Of matrix products and convolutions, in one forward pass of one sample: attention's two
        products in full, also where it is causal.
    """

    parameters: int
    fixed: int
    multiply_adds: int


def cost(module: nn.Module, example: Tensor) -> Cost:
    """Count a module's parameters and multiply-adds.

    Parameters
    ----------
    module : nn.Module
    example : float tensor, shape (N, ...)
        What goes into the module.
    """
    counter = FlopCounterMode(display=False, custom_mapping=_MORE)
    # in eval mode, for one sample would not do for BatchNorm
    with evaluating(module), torch.no_grad(), _known_operations(), counter:
        module(example[:1].detach())
    return Cost(
        sum(p.numel() for p in module.parameters() if p.requires_grad),
        sum(b.numel() for b in module.buffers()),
        counter.get_total_flops() // 2,
    )


@contextmanager
def _known_operations() -> Iterator[None]:
    """Keep modules from fused kernels, of attention and LSTM, in which the counter sees nothing."""
    kernels: tuple[Any, ...] = (torch.backends.mkldnn, torch.backends.cudnn)
    fast = torch.backends.mha
    before = [kernel.enabled for kernel in kernels], fast.get_fastpath_enabled()
    try:
        for kernel in kernels:
            kernel.enabled = False
        fast.set_fastpath_enabled(False)
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for kernel, enabled in zip(kernels, before[0], strict=True):
            kernel.enabled = enabled
        fast.set_fastpath_enabled(before[1])


def _of_vector(*shapes: Any, **_: Any) -> int:
    """Return the operations of a product with a vector: two for each number of the matrix."""
    return 2 * max(math.prod(shape) for shape in shapes if isinstance(shape, Size))


_MORE = {getattr(torch.ops.aten, name): _of_vector for name in ("mv", "addmv", "dot")}


def make_head(
    name: str, features: Tensor, classes: int, *, seed: int, channel_axis: int | None = None
) -> nn.Module:
    """Return a new head for features of the given form.

    Parameters
    ----------
    name : str
        A key of :data:`HEADS`.
    features : float tensor, shape (N, C, H, W), (N, T, C) or (N, C)
        An example of what the head gets, of its device and type.
    classes : int
    seed : int
        The global random state is not touched.
    channel_axis : int, optional
        Where the channels are; if not given, 1 for images and the last axis for tokens. Swin's
        (N, H, W, C) needs -1.

    Raises
    ------
    ConfigError
        If there is no head of that name, or it does not fit the features or the classes.
    """
    if name not in HEADS:
        raise ConfigError(f"there is no head '{name}'; choose from: {', '.join(HEADS)}.")
    if classes < 2 or features.ndim not in (2, 3, 4):
        raise ConfigError(
            f"a head needs two or more classes (not {classes}) and features of shape (N, C, H, W), "
            f"(N, T, C) or (N, C), not {tuple(features.shape)}."
        )
    axis = channel_axis if channel_axis is not None else (1 if features.ndim == 4 else -1)
    if not -features.ndim <= axis < features.ndim:
        raise ConfigError(
            f"features of shape {tuple(features.shape)} have no axis {axis} for channels; "
            "channels that are always last are at -1."
        )
    form = Form(features.ndim, features.shape[axis], axis % features.ndim)
    with seeded(seed):
        return HEADS[name](form, classes).to(features)


def check_labels(labels: Tensor, classes: int) -> None:
    """Refuse labels that do not fit a number of classes.

    Raises
    ------
    ConfigError
        If a label is below 0 or not below ``classes``.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ConfigError(
            f"the labels run from {low} to {high} but the heads have {classes} classes; "
            "build the model with as many classes as the data has, numbered from 0."
        )


@dataclass(frozen=True)
class Form:
    """The form of a head's input: its number of axes, its channels and where they are."""

    axes: int
    channels: int
    axis: int


class ToTokens(nn.Module):
    """Bring features of any form to tokens (N, T, C)."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W), (N, H, W, C), (N, T, C) or (N, C) to (N, T, C)."""
        x = x.movedim(self.form.axis, -1)
        return x.flatten(1, -2) if self.form.axes > 2 else x.unsqueeze(1)


class MeanToken(nn.Module):
    """Average over the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, C) to (N, C)."""
        return x.mean(1)


class AttentionPool(nn.Module):
    """Average over the tokens, weighted by their agreement with one learned query."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.key = nn.Linear(channels, channels)
        self.query = nn.Linear(channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, C) to (N, C)."""
        x = self.norm(x)
        share = self.query(self.key(x)).softmax(1)  # (N, T, 1)
        return torch.bmm(share.transpose(1, 2), x).squeeze(1)


class FixedLinear(nn.Module):
    """A linear classifier with weights (classes, C) that are not trained."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C) to class scores (N, classes)."""
        return nn.functional.linear(x, self.weight)


def _pooled(form: Form, *layers: nn.Module) -> nn.Module:
    return nn.Sequential(ToTokens(form), MeanToken(), *layers)


def _linear(form: Form, classes: int) -> nn.Module:
    return _pooled(form, nn.Linear(form.channels, classes))


def _mlp(form: Form, classes: int) -> nn.Module:
    hidden = _HIDDEN * form.channels
    return _pooled(form, nn.Linear(form.channels, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def _conv(form: Form, classes: int) -> nn.Module:
    if form.axes != 4 or form.axis != 1:
        raise ConfigError(
            "the head 'conv' needs features of shape (N, C, H, W); "
            "take 'mlp' or 'attention' for tokens."
        )
    convolution = nn.Conv2d(form.channels, form.channels, 3, padding=1, bias=False)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(form.channels), nn.ReLU(), _linear(form, classes)
    )


def _attention(form: Form, classes: int) -> nn.Module:
    pool = AttentionPool(form.channels)
    return nn.Sequential(ToTokens(form), pool, nn.Linear(form.channels, classes))


def _class_token(form: Form, classes: int) -> nn.Module:
    if form.axes == 2:  # the token has been taken out already
        return nn.Sequential(nn.LayerNorm(form.channels), nn.Linear(form.channels, classes))
    if form.axes != 3:
        raise ConfigError(
            "the head 'class_token' needs tokens of shape (N, T, C), the class token first; "
            "take 'linear' or 'attention' for images."
        )
    norm = nn.LayerNorm(form.channels)
    return nn.Sequential(ToTokens(form), ClassToken(), norm, nn.Linear(form.channels, classes))


def _random(form: Form, classes: int) -> nn.Module:
    weight = torch.randn(classes, form.channels) / form.channels**0.5
    return _pooled(form, FixedLinear(weight))


def _orthogonal(form: Form, classes: int) -> nn.Module:
    _check_room("orthogonal", form.channels, classes)
    return _pooled(form, FixedLinear(_orthonormal_rows(classes, form.channels)))


def _simplex_etf(form: Form, classes: int) -> nn.Module:
    """Take unit vectors at equal angles, of cosine -1/(classes - 1), the widest there are."""
    _check_room("simplex_etf", form.channels, classes - 1)
    # An orthonormal basis of the vectors whose entries add up to zero, as columns.
    centred = torch.eye(classes) - 1 / classes
    basis = torch.linalg.svd(centred).U[:, : classes - 1]
    frame = basis @ _orthonormal_rows(classes - 1, form.channels)
    return _pooled(form, FixedLinear((classes / (classes - 1)) ** 0.5 * frame))


def _orthonormal_rows(rows: int, columns: int) -> Tensor:
    basis: Tensor = torch.linalg.qr(torch.randn(columns, rows)).Q
    return basis.T.contiguous()


def _check_room(name: str, channels: int, needed: int) -> None:
    if channels < needed:
        raise ConfigError(
            f"the head '{name}' needs {needed} or more channels, but the features have {channels}; "
            "take 'random' instead."
        )


HEADS: dict[str, Callable[[Form, int], nn.Module]] = {
    "linear": _linear,
    "conv": _conv,
    "mlp": _mlp,
    "attention": _attention,
    "class_token": _class_token,
    "random": _random,
    "orthogonal": _orthogonal,
    "simplex_etf": _simplex_etf,
}
