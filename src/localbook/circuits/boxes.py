"""Operations on arrays whose axes have letters, each with its gradient and what that needs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_letters
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn import grad

Letters = tuple[str, ...]
Arrays = Sequence[Any]
EPS = 1e-5  # of torch's norms


@dataclass(frozen=True)
class Call:
    """What an operation is called with: the letters of its arrays, and how long each is.

    Attributes
    ----------
    args, result : tuples of str
        "i+r" is an axis seen through windows: one at each i, in which r is the place.
    size : mapping of str to int
    over : tuple of str
        The letters that it works over, where the sides do not say it.
    stride, padding, dilation : int
        Of windows.
    """

    args: Sequence[Letters] = ((),)
    result: Letters = ()
    size: Mapping[str, int] = field(default_factory=dict)
    over: Letters = ()
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def shape(self, letters: Letters, only: Letters | None = None) -> tuple[int, ...]:
        """Return the lengths of some letters; 1 for those that are not among ``only``."""
        return tuple(self.size[x] if only is None or x in only else 1 for x in letters)

    @property
    def dims(self) -> list[int]:
        """The axes that it works over."""
        return [self.args[0].index(letter) for letter in self.over]


class Box(NamedTuple):
    """An operation: from arrays to its result and what is kept besides, and back.

    ``back`` takes the call, the gradient by the result, arguments and result as far as they are
    kept, and what is kept besides, and returns the gradient by each argument. ``args`` says which
    arguments are kept, and ``result`` whether the result is.
    """

    run: Callable[..., Arrays]
    back: Callable[..., Arrays]
    args: tuple[int, ...] = ()
    result: bool = False


def product(call: Call, args: Sequence[Letters], result: Letters, x: Arrays) -> Tensor:
    """Return a product of arrays, summed over the letters that the result lacks.

    With windows it is a convolution, or one of the two products that are its gradients.
    """
    sides, shape = [*args, result], call.shape(result)
    windows = [letter for side in sides for letter in side if "+" in letter]
    if not windows:
        char = dict(zip(dict.fromkeys(sum(sides, ())), ascii_letters, strict=False))
        *left, right = ("".join(char[letter] for letter in side) for side in sides)
        einsum: Tensor = torch.einsum(f"{','.join(left)}->{right}", *x)
        return einsum
    d, window = len(windows), windows[0].split("+")[1]
    big, kernel = (next(k for k, s in enumerate(sides) if w in s) for w in (windows[0], window))
    flat = [t if k == kernel else t.reshape(-1, *t.shape[-d - 1 :]) for k, t in enumerate(x)]
    size = {"stride": call.stride, "padding": call.padding, "dilation": call.dilation}
    if big == 2:
        to = (flat[1 - kernel].shape[0], *shape[-d - 1 :])
        found = getattr(grad, f"conv{d}d_input")(to, flat[kernel], flat[1 - kernel], **size)
    elif kernel == 2:
        found = getattr(grad, f"conv{d}d_weight")(flat[big], shape, flat[1 - big], **size)
    else:
        found = getattr(F, f"conv{d}d")(flat[big], flat[kernel], **size)
    product: Tensor = found.reshape(shape)
    return product


def products(call: Call, delta: Tensor, x: Arrays, *_: Any) -> Arrays:
    """Return a product's gradients: in each, one argument and the result have changed places."""
    found = []
    for i, letters in enumerate(call.args):
        others = [*x[:i], delta, *x[i + 1 :]]
        sides = [*call.args[:i], call.result, *call.args[i + 1 :]]
        known = all(other is not None for other in others)
        found.append(product(call, sides, letters, others) if known else None)
    return found


def norm(call: Call, x: Tensor, w: Tensor, b: Tensor) -> Arrays:
    """Return x with mean 0 and variance 1 over some letters, scaled and shifted; keep both."""
    letters = call.args[0]
    if letters[-len(call.over) :] == call.over:
        return torch.native_layer_norm(x, w.shape, w, b, EPS)
    return torch.native_batch_norm(x, w, b, None, None, True, 0.0, EPS)


def norm_back(call: Call, delta: Tensor, x: Arrays, y: Any, *kept: Tensor) -> Arrays:
    """Return the gradients of a norm by x, scale and shift."""
    letters, dims, learned = call.args[0], call.dims, call.args[1]
    rest = tuple(letter for letter in letters if letter not in call.over)
    mean, scale = (t.reshape(call.shape(letters, rest)) for t in kept)
    hat = (x[0] - mean) * scale
    g = delta * x[1].reshape(call.shape(letters, learned))
    others = [k for k, letter in enumerate(letters) if letter not in learned]
    inward = scale * (g - g.mean(dims, True) - hat * (g * hat).mean(dims, True))
    return inward, (delta * hat).sum(others), delta.sum(others)


def pool(call: Call, x: Tensor) -> Arrays:
    """Return the largest number of each window, and where it was."""
    flat = x.reshape(-1, *x.shape[-2:])
    best, where = F.max_pool2d(flat, call.stride, return_indices=True)
    return best.reshape(call.shape(call.result)), where


def unpool(call: Call, delta: Tensor, x: Arrays, y: Any, where: Tensor) -> Arrays:
    """Return a gradient to where the largest numbers were."""
    found = delta.new_zeros(len(where), math.prod(call.shape(call.args[0])[-2:]))
    found.scatter_(1, where.flatten(1), delta.reshape(where.shape).flatten(1))
    return (found.reshape(call.shape(call.args[0])),)


def shortcut(call: Call, x: Tensor) -> Arrays:
    """Return every second place of the last two axes, with zeros for new channels around."""
    more = (call.size[call.result[-3]] - x.shape[-3]) // 2
    return (F.pad(x[..., :: call.stride, :: call.stride], (0, 0, 0, 0, more, more)),)


def shortcut_back(call: Call, delta: Tensor, *_: Any) -> Arrays:
    """Return a gradient to the places that were picked."""
    shape = call.shape(call.args[0])
    more = (delta.shape[-3] - shape[-3]) // 2
    found = delta.new_zeros(shape)
    found[..., :: call.stride, :: call.stride] = delta[..., more : more + shape[-3], :, :]
    return (found,)


def gathered(call: Call, delta: Tensor, *_: Any) -> Arrays:
    """Return the sums of a gradient over what each argument lacks."""
    lacks = ([k for k, x in enumerate(call.result) if x not in side] for side in call.args)
    return [delta.sum(dims) if dims else delta for dims in lacks]


def gelu_slope(x: Tensor) -> Tensor:
    """Return the derivative of x Φ(x)."""
    slope: Tensor = torch.special.ndtr(x) + x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return slope


def added(call: Call, *x: Tensor) -> Arrays:
    """Return a sum, in which an argument counts for all places of the axes that it lacks."""
    spread = (t.reshape(call.shape(call.result, a)) for a, t in zip(call.args, x, strict=True))
    return (sum(spread),)


def joined(call: Call) -> tuple[int, list[int]]:
    """Return the axis along which arguments follow one another, and how long each is there."""
    axis = next(k for k, x in enumerate(call.result) if not any(x in a for a in call.args))
    return axis, [call.size[letters[axis]] for letters in call.args]


BOXES: Mapping[str, Box] = {
    "linear": Box(lambda c, *x: (product(c, c.args, c.result, x),), products),
    "add": Box(added, gathered),
    "concat": Box(
        lambda c, *x: (torch.cat(x, joined(c)[0]),),
        lambda c, d, x, y: d.split(joined(c)[1], joined(c)[0]),
    ),
    "relu": Box(lambda c, x: (F.relu(x),), lambda c, d, x, y: (d * (y > 0),), result=True),
    "tanh": Box(lambda c, x: (x.tanh(),), lambda c, d, x, y: (d * (1 - y * y),), result=True),
    "gelu": Box(lambda c, x: (F.gelu(x),), lambda c, d, x, y: (d * gelu_slope(x[0]),), (0,)),
    "scale": Box(
        lambda c, x: (x / c.size[c.over[0]] ** 0.5,),
        lambda c, d, x, y: (d / c.size[c.over[0]] ** 0.5,),
    ),
    "softmax": Box(
        lambda c, x: (x.softmax(c.dims[0]),),
        lambda c, d, x, y: (y * (d - (y * d).sum(c.dims[0], True)),),
        result=True,
    ),
    "norm": Box(norm, norm_back, (0, 1)),
    "max": Box(pool, unpool, (0,)),
    "shortcut": Box(shortcut, shortcut_back),
}
"""The operations by name. What "linear" keeps depends on whose gradients are wanted."""
