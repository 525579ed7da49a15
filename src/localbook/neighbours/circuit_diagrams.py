"""One term gives a network's function, picture, gradient and costs (abbott2024neural).

The architectures of the paper, and two of this book, as terms of ``localbook.circuits``, with
learned arrays named as in torch's modules. That diagrams are composed so, and what broadcasting
means, is the paper's; the notation, and how gradient and costs are read off it, are ours.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from localbook.circuits import COPY, SAME, Box, Term
from localbook.errors import ConfigError

__all__ = [
    "ATTENTION",
    "MUTANTS",
    "attention",
    "bottleneck",
    "conv_net",
    "convolution",
    "perceptron",
    "residual_network",
    "transformer_block",
    "unet_level",
]

RELU, GELU = Box("relu"), Box("gelu")

ATTENTION: Mapping[str, Term] = {
    "queries": Box("linear", "y m, h k m -> h y k", "Q"),
    "keys": Box("linear", "x m, h k m -> h x k", "K"),
    "values": Box("linear", "x m, h k m -> h x k", "V"),
    "scores": Box("linear", "h y k, h x k -> h y x"),
    "scale": Box("scale", over="k"),
    "softmax": Box("softmax", "h y x -> h y x", over="x"),
    "mix": Box("linear", "h y x, h x k -> h y k"),
    "out": Box("linear", "h y k, m' h k -> y m'", "O"),
}
"""The parts of :func:`attention`."""


MUTANTS: Mapping[str, Mapping[str, Term]] = {
    "Q and K swapped": {
        "queries": Box("linear", "y m, h k m -> h y k", "K"),
        "keys": Box("linear", "x m, h k m -> h x k", "Q"),
    },
    "softmax over the queries": {"softmax": Box("softmax", "h y x -> h y x", over="y")},
    "not divided by √k": {"scale": SAME},
    "h taken for k": {"queries": Box("linear", "y m, k h m -> h y k", "Q")},
    "O transposed": {"out": Box("linear", "h y k, h k m' -> y m'", "O")},
    "mixed the wrong way": {"mix": Box("linear", "h y x, h y k -> h x k")},
    "broadcast over m": {"queries": Box("linear", "y m, h k y -> h m k", "Q")},
}
"""Mistakes in self-attention. No shape tells if x = m and h = k."""


def perceptron() -> Term:
    """Return two affine layers with a ReLU between, from m to h to o, as an ``nn.Sequential``."""
    return dense("m, h m -> h", "0") >> RELU >> dense("h, o h -> o", "2")


def convolution(stride: int = 1, padding: int = 0, dilation: int = 1) -> Term:
    """Return d filters (c, r, s) on an image (c, i, j), as an ``nn.Conv2d``."""
    spec, window = "c i+r j+s, d c r s -> d i j", (stride, padding, dilation)
    filters = Box("linear", spec, "weight", "", *window)
    return filters >> Box("add", "d i j, d -> d i j", "bias")


def attention(**changes: Term) -> Term:
    """Return attention of y tokens to x tokens, both of m numbers, with h heads of k.

    Its learned arrays are Q, K and V (h, k, m) and O (m, h, k). Other terms may stand for some of
    ``ATTENTION``, by name.
    """
    if unknown := changes.keys() - ATTENTION.keys():
        raise ConfigError(f"attention has no {unknown}; choose of {', '.join(ATTENTION)}.")
    part = {**ATTENTION, **changes}
    heads = (SAME @ COPY) >> (part["queries"] @ part["keys"] @ part["values"])
    weights = chain(part["scores"], part["scale"], part["softmax"])
    return chain(heads, weights @ SAME, part["mix"], part["out"])


def transformer_block() -> Term:
    """Return a block of :func:`localbook.local.small_vit` for t tokens of m numbers, f inside.

    Its attention has the names of :func:`attention`, with q, k, v and o for the biases; all else
    has those of the module.
    """
    bias = {
        name: ATTENTION[name] >> Box("add", "h y k, h k -> h y k", name[0])
        for name in ("queries", "keys", "values")
    } | {"out": ATTENTION["out"] >> Box("add", "y m, m -> y m", "o")}
    first, second = (
        Box("norm", "t m, m, m -> t m", f"norm{k}.weight norm{k}.bias", over="m") for k in (1, 2)
    )
    perceptron = dense("t m, f m -> t f", "mlp.0") >> GELU >> dense("t f, m' f -> t m'", "mlp.2")
    mixed = beside(chain(first, COPY, attention(**bias)), SAME, "t m")
    return mixed >> beside(second >> perceptron, SAME, "t m")


def bottleneck() -> Term:
    """Return torchvision's ``Bottleneck`` of e channels, c inside; r and s are 3, u and v are 1."""
    inside = (
        *(windows("e", "c", "conv1", "u v"), images("c", "bn1"), RELU),
        *(windows("c", "c", "conv2"), images("c", "bn2"), RELU),
        *(windows("c", "e", "conv3", "u v"), images("e", "bn3")),
    )
    return beside(chain(*inside), SAME, "n e i j") >> RELU


def unet_level() -> Term:
    """Return a level of a U-Net from c to d channels, above one of e at half the size.

    r and s are 3, u and v are 2.
    """
    down = Box("max", "n d i+u j+v -> n d i j", stride=2)
    up = Box("linear", "n e i j, e d' u v -> n d' i+u j+v", "up.weight", stride=2)
    below = chain(down, windows("d", "e", "below"), RELU, up)
    join = Box("concat", "n a i j, n b i j -> n f i j")
    first, last = windows("c", "d", "enter") >> RELU, windows("f", "d", "leave") >> RELU
    return first >> COPY >> (SAME @ below) >> join >> last


def conv_net(channels: str, strides: Sequence[int]) -> Term:
    """Return the modules of a :class:`localbook.local.ConvNet`, one letter for each width."""
    layers = enumerate(zip(pairwise(channels), strides, strict=True))
    modules = (
        windows(a, b, f"{k}.0", stride=stride) >> images(b, f"{k}.1") >> RELU
        for k, ((a, b), stride) in layers
    )
    return chain(*modules)


def residual_network(blocks: int) -> Term:
    """Return :func:`localbook.local.cifar_resnet` up to its pooling, from c to d, e and f channels.

    There are ``blocks`` in each of its three stages; r and s are 3.
    """
    net = windows("c", "d", "0") >> images("d", "1") >> RELU
    for stage, (a, b) in enumerate((("d", "d"), ("d", "e"), ("e", "f")), start=3):
        for k in range(blocks):
            x, stride, name = (
                (a, 1 + (a != b), f"{stage}.{k}") if k == 0 else (b, 1, f"{stage}.{k}")
            )
            first = windows(x, b, f"{name}.conv1", stride=stride) >> images(b, f"{name}.norm1")
            second = windows(b, b, f"{name}.conv2") >> images(b, f"{name}.norm2")
            pick = Box("shortcut", f"n {x} i+ j+ -> n {b} i j", stride=2)
            inside = beside(first >> RELU >> second, SAME if x == b else pick, f"n {b} i j")
            net = net >> inside >> RELU
    return net


def chain(*terms: Term) -> Term:
    """Return terms one after the other."""
    first, *others = terms
    for term in others:
        first = first >> term
    return first


def beside(main: Term, other: Term, axes: str) -> Term:
    """Return the sum of two terms on one wire."""
    return COPY >> (main @ other) >> Box("add", f"{axes}, {axes} -> {axes}")


def dense(spec: str, name: str) -> Term:
    """Return an ``nn.Linear``: a product with a learned matrix, and a bias for the last letter."""
    result = spec.partition("-> ")[2].replace("'", "")
    bias = Box("add", f"{result}, {result.split()[-1]} -> {result}", f"{name}.bias")
    return Box("linear", spec, f"{name}.weight") >> bias


def windows(a: str, b: str, name: str, kernel: str = "r s", stride: int = 1) -> Term:
    """Return an ``nn.Conv2d`` of images (n, a, i, j), padded by 1 if its kernel is r by s."""
    r, s = kernel.split()
    spec = f"n {a} i+{r} j+{s}, {b}' {a} {r} {s} -> n {b}' i j"
    padding = int(kernel == "r s")
    return Box("linear", spec, f"{name}.weight", stride=stride, padding=padding)


def images(axis: str, name: str) -> Term:
    """Return an ``nn.BatchNorm2d`` of images (n, axis, i, j)."""
    spec = f"n {axis} i j, {axis}, {axis} -> n {axis} i j"
    return Box("norm", spec, f"{name}.weight {name}.bias", over="n i j")
