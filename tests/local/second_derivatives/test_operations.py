"""Operations with their own second derivative, beside PyTorch's and finite differences."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import grad, gradcheck, gradgradcheck

from localbook.local import SavedTensors, cifar_resnet
from localbook.local.second_derivatives import (
    DifferentiableTwice,
    batch_norm,
    convolution,
    cosines,
    gelu,
    layer_norm,
)

Function = Callable[..., Tensor]


def numbers(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=dtype, generator=generator).requires_grad_()


def normalised(x: Tensor, w: Tensor, b: Tensor, own: bool) -> Tensor:
    return (batch_norm if own else F.batch_norm)(x, None, None, w, b, training=True)


CASES: dict[str, tuple[Function, Function, tuple[Tensor, ...]]] = {
    "convolution": (
        lambda *a: convolution(*a, padding=1),
        lambda *a: F.conv2d(*a, padding=1),
        (numbers(2, 3, 5, 4), numbers(4, 3, 3, 3), numbers(4)),
    ),
    "without bias": (convolution, F.conv2d, (numbers(2, 3, 5, 4), numbers(4, 3, 2, 3))),
    "strided, dilated, in groups": (
        lambda *a: convolution(*a, stride=(2, 1), padding=(0, 2), dilation=2, groups=2),
        lambda *a: F.conv2d(*a, stride=(2, 1), padding=(0, 2), dilation=2, groups=2),
        (numbers(2, 4, 7, 6), numbers(6, 2, 2, 3), numbers(6)),
    ),
    "padded to the same size": (
        lambda *a: convolution(*a, padding="same"),
        lambda *a: F.conv2d(*a, padding="same"),
        (numbers(2, 3, 5, 4), numbers(4, 3, 3, 3)),
    ),
    "one image": (convolution, F.conv2d, (numbers(3, 5, 4), numbers(4, 3, 3, 3))),
    "batch norm of images": (
        lambda *a: normalised(*a, own=True),
        lambda *a: normalised(*a, own=False),
        (numbers(3, 4, 3, 2), numbers(4), numbers(4, seed=1)),
    ),
    "batch norm of vectors": (
        lambda *a: normalised(*a, own=True),
        lambda *a: normalised(*a, own=False),
        (numbers(6, 4), numbers(4), numbers(4, seed=1)),
    ),
    "layer norm": (
        lambda x, *a: layer_norm(x, [5], *a),
        lambda x, *a: F.layer_norm(x, [5], *a),
        (numbers(2, 3, 5), numbers(5), numbers(5, seed=1)),
    ),
    "layer norm over two axes": (
        lambda x, *a: layer_norm(x, [3, 5], *a),
        lambda x, *a: F.layer_norm(x, [3, 5], *a),
        (numbers(2, 3, 5), numbers(3, 5), numbers(3, 5, seed=1)),
    ),
    "layer norm without weights": (
        lambda x: layer_norm(x, [5]),
        lambda x: F.layer_norm(x, [5]),
        (numbers(2, 3, 5),),
    ),
    "gelu": (gelu, F.gelu, (numbers(4, 5),)),
    "gelu, approximate": (
        lambda x: gelu(x, "tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
        (numbers(4, 5),),
    ),
}


def second_derivatives(function: Function, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the output, and first and second derivatives of a function of it."""
    out = function(*inputs)
    slope = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    first = grad((out * slope + out.square()).sum(), inputs, create_graph=True)
    second = grad(sum((f.tanh() ** 2).sum() for f in first), inputs)
    return [out, *first, *second]


def same(own: list[Tensor], expected: list[Tensor]) -> None:
    for found, wanted in zip(own, expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_by_finite_differences(name):
    own, _, inputs = CASES[name]
    assert gradcheck(own, inputs)
    assert gradgradcheck(own, inputs)


@pytest.mark.parametrize("name", CASES)
def test_all_derivatives_are_those_of_pytorch(name):
    own, builtin, inputs = CASES[name]
    same(second_derivatives(own, inputs), second_derivatives(builtin, inputs))


@pytest.mark.parametrize("name", ["convolution", "batch norm of images", "layer norm"])
@pytest.mark.parametrize("alone", [0, 1, 2], ids=["x", "weight", "bias"])
def test_one_input_alone_may_need_its_gradient(name, alone):
    own, builtin, inputs = CASES[name]

    def with_others_fixed(function: Function) -> Function:
        fixed = [t.detach() for t in inputs]
        return lambda t: function(*fixed[:alone], t, *fixed[alone + 1 :])

    slope = numbers(*builtin(*inputs).shape, seed=2)
    firsts = [
        grad(with_others_fixed(f)(inputs[alone]), inputs[alone], slope, create_graph=True)[0]
        for f in (own, builtin)
    ]
    seconds = [grad(first.square().sum(), slope)[0] for first in firsts]
    same([firsts[0], seconds[0]], [firsts[1], seconds[1]])


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1.0, 1e20])
def test_cosines_do_not_depend_on_lengths(scale):
    a, b = (torch.cat([numbers(3, 2, 2, seed=s).detach(), torch.zeros(1, 2, 2)]) for s in (0, 1))
    expected = F.cosine_similarity(a.flatten(1), b.flatten(1))
    assert expected[3] == 0
    torch.testing.assert_close(cosines(scale * a, b), expected)
    torch.testing.assert_close(cosines((scale * a).float(), b.float()), expected.float())
    assert gradgradcheck(cosines, (a[:3].clone().requires_grad_(), b[:3].clone().requires_grad_()))


sizes = st.integers(1, 4)


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, sizes, st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), sizes)
def test_convolutions_of_any_size(samples, channels, outputs, kernel, stride, padding, seed):
    """Among them some whose kernel leaves a margin of the image unseen."""
    x = numbers(samples, channels, 5, 4, seed=seed)
    w = numbers(outputs, channels, kernel, kernel, seed=seed + 1)
    how = {"stride": stride, "padding": padding}
    same(
        second_derivatives(lambda *a: convolution(*a, **how), (x, w)),
        second_derivatives(lambda *a: F.conv2d(*a, **how), (x, w)),
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), sizes, st.integers(1, 3), st.floats(-100, 100), st.sampled_from([0, 1]))
def test_norms_of_numbers_far_from_zero_or_all_equal(samples, channels, side, shift, spread):
    x = (spread * numbers(samples + 1, channels, side, side) + shift).detach().requires_grad_()
    w, b = numbers(channels), numbers(channels, seed=1)
    same(
        second_derivatives(lambda *a: normalised(*a, own=True), (x, w, b)),
        second_derivatives(lambda *a: normalised(*a, own=False), (x, w, b)),
    )
    tokens = x.detach().flatten(2).transpose(1, 2).contiguous().requires_grad_()
    same(
        second_derivatives(lambda x, *a: layer_norm(x, [channels], *a), (tokens, w, b)),
        second_derivatives(lambda x, *a: F.layer_norm(x, [channels], *a), (tokens, w, b)),
    )


def test_a_weight_of_zero_gets_its_gradient_too():
    """Residual blocks often start with it."""
    x, w, b = numbers(3, 2, 2, 2), torch.zeros(2, dtype=torch.float64, requires_grad=True), None
    b = numbers(2)
    found = second_derivatives(lambda *a: normalised(*a, own=True), (x, w, b))
    same(found, second_derivatives(lambda *a: normalised(*a, own=False), (x, w, b)))
    assert found[-2].abs().min() > 0  # ∂R/∂w


def test_running_statistics_are_updated_as_by_pytorch():
    found = []
    for function in (batch_norm, F.batch_norm):
        mean, var = torch.zeros(4), torch.ones(4)
        function(numbers(5, 4, dtype=torch.float32), mean, var, torch.ones(4), torch.zeros(4), True)
        found.append([mean, var])
    same(*found)


def test_a_single_value_a_channel_is_refused_as_by_pytorch():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        batch_norm(torch.randn(1, 4), None, None, torch.ones(4), torch.zeros(4), training=True)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4)
        self.layer_norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.conv(x)).flatten(2).transpose(1, 2)
        return F.gelu(self.layer_norm(tokens))


def block() -> nn.Module:
    torch.manual_seed(0)
    return Block().double()


@pytest.mark.parametrize("build", [block, lambda: torch.fx.symbolic_trace(block())])
def test_the_context_replaces_them_all_in_modules_and_in_traced_ones(build):
    module, x = build(), numbers(2, 3, 7, 7)
    inputs = (x, *module.parameters())
    expected = second_derivatives(lambda x, *_: module(x), inputs)
    with DifferentiableTwice():
        out = module(x)
    names, seen = [out.grad_fn], set()
    while names:
        node = names.pop()
        seen.add(node.name())
        names += [parent for parent, _ in node.next_functions if parent is not None]
    assert {
        "_ConvolutionBackward",
        "_BatchNormBackward",
        "_LayerNormBackward",
        "_GELUBackward",
    } <= seen

    def inside(x: Tensor, *_: Tensor) -> Tensor:
        with DifferentiableTwice():
            return module(x)

    same(second_derivatives(inside, inputs), expected)


def test_evaluation_is_left_to_pytorch():
    module, x = block().eval(), numbers(2, 3, 7, 7)
    expected = module(x)
    with DifferentiableTwice():
        torch.testing.assert_close(module(x), expected)


def test_gradients_by_inputs_alone_leave_those_of_weights_out_and_no_second_derivative():
    x, w = numbers(2, 3, 5, 4), numbers(4, 3, 3, 3)
    twice = DifferentiableTwice()
    with twice:
        out = F.conv2d(x, w)
    slope = numbers(*out.shape, seed=2)
    with twice.by_inputs_alone():
        by_x, by_w = grad(out, (x, w), slope, create_graph=True, allow_unused=True)
    assert by_w is None
    expected = grad(F.conv2d(x, w), x, slope, create_graph=True)[0]
    same([by_x, *grad(by_x.square().sum(), (w, slope), retain_graph=True)],
         [expected, *grad(expected.square().sum(), (w, slope))])  # fmt: skip
    assert grad(out, w, slope)[0] is not None


@pytest.mark.parametrize("name", ["convolution", "batch norm of images", "layer norm", "gelu"])
def test_autocast_takes_the_precision_that_pytorch_takes(name):
    own, builtin, inputs = CASES[name]
    inputs = tuple(t.detach().float().requires_grad_() for t in inputs)
    with torch.autocast("cpu", torch.bfloat16):
        out, expected = own(*inputs), builtin(*inputs)
    assert out.dtype == expected.dtype
    torch.testing.assert_close(out, expected)
    first = grad(out.float().square().sum(), inputs, create_graph=True)
    second = grad(sum(f.square().sum() for f in first), inputs)
    exact = second_derivatives(builtin, inputs)
    assert [f.dtype for f in (*first, *second)] == [t.dtype for t in exact[1:]]


@pytest.mark.parametrize("name", ["batch norm of images", "layer norm", "gelu"])
def test_low_precision_inputs_beside_exact_weights_lose_no_more_than_with_pytorch(name):
    """As after a convolution under autocast."""
    own, builtin, (x, *weights) = CASES[name]
    rounded = x.detach().bfloat16().requires_grad_()
    weights = [t.detach().float().requires_grad_() for t in weights]
    exact = second_derivatives(builtin, (rounded.detach().float().requires_grad_(), *weights))
    losses = []
    for function in (own, builtin):
        found = second_derivatives(function, (rounded, *weights))
        pairs = zip(found, exact, strict=True)
        losses.append(max(((a.float() - b).norm() / b.norm()).item() for a, b in pairs))
    assert losses[0] < 1.5 * losses[1]


def test_a_second_derivative_saves_no_more_than_with_pytorch_s_own():
    torch.manual_seed(0)
    module, x = nn.Sequential(*list(cifar_resnet(8, seed=0))[:4]), torch.randn(8, 3, 16, 16)
    held = []
    for context in (DifferentiableTwice(), nullcontext()):
        ledger, x = SavedTensors([*module.parameters(), *module.buffers()]), x.requires_grad_()
        with ledger.hooks():
            with context:
                out = module(x)
            (slope,) = grad(out.square().sum(), x, create_graph=True)
            slope.square().sum().backward()
        held.append(ledger.peak)
    assert held[0] <= 1.02 * held[1]
