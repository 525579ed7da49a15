"""Feedback alignment and direct feedback alignment against their papers' formulas."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local import (
    BP,
    ConvNet,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    IsolatedNetwork,
    Rule,
    add_heads,
    cifar_resnet,
    split,
)
from localbook.local.rules.feedback import going_back_through, layers, random_weights
from tests.local.gradients import gradient

RULES = [FeedbackAlignment(seed=3), DirectFeedbackAlignment(seed=3)]
SIZES = (5, 6, 4, 7)


def mlp() -> IsolatedNetwork:
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in pairwise(SIZES)]
    return IsolatedNetwork(modules, [nn.Linear(size, 3) for size in SIZES[1:]]).double()


def vectors() -> tuple[Tensor, Tensor]:
    x = torch.randn(6, SIZES[0], generator=torch.Generator().manual_seed(1))
    return x.double(), torch.arange(6) % 3


def images() -> tuple[Tensor, Tensor]:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.arange(4)


def resnet() -> IsolatedNetwork:
    x, y = images()
    return add_heads(split(cifar_resnet(20, seed=0), 3, x).modules, "linear", x, y, seed=0)


def activations(net: IsolatedNetwork, x: Tensor) -> list[Tensor]:
    found = [x]
    with torch.no_grad():
        for module in net.local_modules:
            found.append(module(found[-1]))
    return found


def assert_layer(found: dict[str, Tensor], name: str, error: Tensor, x: Tensor) -> None:
    """Compare with the gradient of a linear layer with input x and error at its output."""
    assert torch.allclose(found[f"{name}.weight"], error.T @ x, atol=1e-14)
    assert torch.allclose(found[f"{name}.bias"], error.sum(0), atol=1e-14)


def test_feedback_alignment_by_its_formula() -> None:
    net, (x, y) = mlp(), vectors()
    found = gradient(FeedbackAlignment(seed=3), net, x, y)
    *back, last = random_weights(layers([*net.local_modules, net.heads[-1]]), seed=3)
    xs = activations(net, x)
    error = (net(x).softmax(1) - F.one_hot(y)).detach() / len(y)
    assert_layer(found, "heads.2", error, xs[3])
    error = error @ last
    for number in (2, 1, 0):
        error = error * (1 - xs[number + 1] ** 2)
        assert_layer(found, f"local_modules.{number}.0", error, xs[number])
        error = error @ back[number]


def test_direct_feedback_alignment_by_its_formula() -> None:
    net, (x, y) = mlp(), vectors()
    found = gradient(DirectFeedbackAlignment(seed=3), net, x, y)
    xs = activations(net, x)
    error = (net(x).softmax(1) - F.one_hot(y)).detach() / len(y)
    generator = torch.Generator().manual_seed(3)
    for number in (0, 1):
        size = SIZES[number + 1]
        feedback = (torch.randn(3, size, generator=generator) / size**0.5).double()
        at_layer = (error @ feedback) * (1 - xs[number + 1] ** 2)
        assert_layer(found, f"local_modules.{number}.0", at_layer, xs[number])
    assert_layer(found, "heads.2", error, xs[3])
    at_layer = error @ net.heads[2].weight.detach() * (1 - xs[3] ** 2)
    assert_layer(found, "local_modules.2.0", at_layer, xs[2])


def test_feedback_by_the_weights_themselves_is_back_propagation() -> None:
    net, (x, y) = resnet().double(), images()
    expected = gradient(BP(), net, x.double(), y)
    found = layers([*net.local_modules, net.heads[-1]])
    assert len(found) == 20
    with going_back_through([(layer, layer.weight.detach().clone()) for layer in found]):
        net.zero_grad()
        BP().gradients(net, x.double(), y)
    for name, p in net.named_parameters():
        assert torch.allclose(p.grad, expected[name], rtol=1e-9, atol=1e-12), name


@pytest.mark.parametrize("rule", RULES)
def test_probes_are_those_of_back_propagation(rule: Rule) -> None:
    net, (x, y) = resnet(), images()
    found, expected = gradient(rule, net, x, y), gradient(BP(), net, x, y)
    for name, value in expected.items():
        if name.startswith(("heads.0", "heads.1")):
            assert torch.allclose(found[name], value, atol=1e-6)
    differ = [name for name in expected if name.startswith("local_modules.0")]
    assert not any(torch.allclose(found[name], expected[name], rtol=1e-2) for name in differ)


@pytest.mark.parametrize("rule", RULES)
def test_nothing_but_gradients_is_left_behind(rule: Rule) -> None:
    net, (x, y) = resnet(), images()
    twin, state = copy.deepcopy(net), torch.get_rng_state()
    losses = rule.gradients(net, x, y)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(losses, BP().gradients(twin, x, y))
    assert not losses.requires_grad
    for mine, theirs in zip(net.buffers(), twin.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


@pytest.mark.parametrize("rule", RULES)
def test_gradients_add_up(rule: Rule) -> None:
    net, (x, y) = mlp(), vectors()
    once = gradient(rule, net, x, y)
    rule.gradients(net, x, y)
    rule.gradients(net, x, y)
    for name, p in net.named_parameters():
        assert torch.allclose(p.grad, 2 * once[name], rtol=1e-12)


def test_direct_feedback_crosses_no_border() -> None:
    """The weights between a module and the output matter through the scores alone."""
    net, (x, y) = mlp(), vectors()
    other = copy.deepcopy(net)
    with torch.no_grad():  # the mirror image of module 3: the scores are the same
        for p in other.local_modules[2].parameters():
            p.mul_(-1)
        other.heads[2].weight.mul_(-1)
    rule = DirectFeedbackAlignment()
    found, mirrored = gradient(rule, net, x, y), gradient(rule, other, x, y)
    for name in found:
        if name.startswith(("local_modules.0", "local_modules.1")):
            assert torch.allclose(found[name], mirrored[name], atol=1e-14)


@pytest.mark.parametrize("rule", RULES)
def test_bf16_autocast(rule: Rule) -> None:
    net, (x, y) = ConvNet((8, 8), (2, 1)).build(3, 4, 0), images()
    exact = gradient(rule, net, x, y)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradient(rule, net, x, y)
    for name, value in exact.items():
        assert (found[name] - value).norm() < 0.1 * value.norm(), name


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.MultiheadAttention(4, 2), "MultiheadAttention"),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), "Conv2d"),
        (nn.Conv2d(3, 4, 3, padding="same"), "Conv2d"),
        (nn.Conv1d(3, 4, 3), "Conv1d"),
    ],
)
def test_other_weights_are_refused(layer: nn.Module, kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot replace the weight of '0' \({kind}\)"):
        layers([nn.Sequential(layer)])
