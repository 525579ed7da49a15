"""Each rule's gradients against an independent reference."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.errors import ConfigError
from localbook.local import BP, SGR, ConvNet, IsolatedNetwork, PlainLocal
from localbook.local.rules.sgr.rule import squared_distance

RULES = [BP(), PlainLocal(), SGR(weight=2.0)]
names = [type(rule).__name__ for rule in RULES]


def smooth_net(seed=0, widths=(4, 5, 3), inputs=3, classes=3):
    """A small float64 network without kinks."""
    torch.manual_seed(seed)
    sizes = (inputs, *widths)
    modules = [
        nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in zip(sizes, widths, strict=False)
    ]
    return IsolatedNetwork(modules, [nn.Linear(w, classes) for w in widths]).double()


def smooth_batch(n=6, inputs=3, classes=3):
    torch.manual_seed(1)
    return torch.randn(n, inputs).double(), torch.arange(n) % classes


def conv_batch(n=8):
    torch.manual_seed(2)
    return torch.randn(n, 3, 8, 8), torch.arange(n) % 4


def conv_net(seed=0):
    return ConvNet((4, 6, 5), (1, 2, 1)).build(3, 4, seed)


def grads(net, rule, x, y):
    net.zero_grad(set_to_none=True)
    losses = rule.gradients(net, x, y)
    return losses, {name: p.grad.clone() for name, p in net.named_parameters()}


def sgr_objective(net, x, y, weight, number):
    """Module `number`'s objective, computed the long way: sample by sample, nothing shared."""
    inputs = x
    with torch.no_grad():
        for module in net.local_modules[:number]:
            inputs = module(inputs)
    total = 0.0
    for i in range(len(y)):
        one = inputs[i : i + 1].clone().requires_grad_()
        loss = F.cross_entropy(net.heads[number](net.local_modules[number](one)), y[i : i + 1])
        total = total + loss
        if number > 0:
            (gamma,) = torch.autograd.grad(loss, one, create_graph=True)
            before = one.detach().requires_grad_()
            loss_before = F.cross_entropy(net.heads[number - 1](before), y[i : i + 1])
            (delta,) = torch.autograd.grad(loss_before, before)
            total = total + weight * (gamma - delta).square().sum()
    return total / len(y)


def test_bp_is_autograd_on_the_whole_network():
    net, (x, y) = smooth_net(), smooth_batch()
    losses, ours = grads(net, BP(), x, y)
    inner = [n for n in ours if n.startswith("local_modules") or n.startswith("heads.2")]
    parameters = dict(net.named_parameters())
    theirs = torch.autograd.grad(F.cross_entropy(net(x), y), [parameters[n] for n in inner])
    for name, expected in zip(inner, theirs, strict=True):
        assert torch.allclose(ours[name], expected, atol=1e-14)
    assert torch.allclose(losses[-1], F.cross_entropy(net(x), y))


def test_bp_probes_learn_but_change_no_module():
    net, (x, y) = smooth_net(), smooth_batch()
    _, before = grads(net, BP(), x, y)
    assert before["heads.0.weight"].abs().sum() > 0
    with torch.no_grad():
        net.heads[0].weight.mul_(5)
    _, after = grads(net, BP(), x, y)
    for name in before:
        if name.startswith("local_modules"):
            assert torch.equal(before[name], after[name])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_plain_local_is_autograd_on_each_module_alone(number):
    net, (x, y) = smooth_net(), smooth_batch()
    _, ours = grads(net, PlainLocal(), x, y)
    with torch.no_grad():
        inputs = nn.Sequential(*net.local_modules[:number])(x)
    loss = F.cross_entropy(net.heads[number](net.local_modules[number](inputs)), y)
    for part in (f"local_modules.{number}", f"heads.{number}"):
        mine = {n: p for n, p in net.named_parameters() if n.startswith(part)}
        theirs = torch.autograd.grad(loss, list(mine.values()), retain_graph=True)
        for name, expected in zip(mine, theirs, strict=True):
            assert torch.allclose(ours[name], expected, atol=1e-14)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("weight", [0.0, 0.7, 30.0])
def test_sgr_against_finite_differences(number, weight):
    net, (x, y) = smooth_net(), smooth_batch()
    _, ours = grads(net, SGR(weight), x, y)
    step = 1e-6
    for name, p in net.named_parameters():
        if not name.startswith((f"local_modules.{number}.", f"heads.{number}.")):
            continue
        direction = torch.randn(p.shape, generator=torch.Generator().manual_seed(3)).double()
        values = []
        for sign in (1, -1):
            shifted = copy.deepcopy(net)
            with torch.no_grad():
                shifted.get_parameter(name).add_(sign * step * direction)
            # The predecessor's gradient is a constant: module and head before stay as they are.
            values.append(sgr_objective(shifted, x, y, weight, number).item())
        numeric = (values[0] - values[1]) / (2 * step)
        exact = (ours[name] * direction).sum().item()
        assert exact == pytest.approx(numeric, rel=1e-6, abs=1e-8)


def test_sgr_without_weight_is_plain_local_learning():
    net, (x, y) = conv_net(), conv_batch()
    plain, ours = grads(net, PlainLocal(), x, y)[1], grads(net, SGR(0.0), x, y)[1]
    for name in plain:
        assert torch.allclose(plain[name], ours[name], atol=1e-6)


def test_squared_distance_does_not_depend_on_the_batch_size():
    a, b = torch.randn(2, 5, 3, 4, 4)
    twice = squared_distance(a.repeat(2, 1, 1, 1), b.repeat(2, 1, 1, 1))
    assert torch.allclose(squared_distance(a, b), twice)


@pytest.mark.parametrize("rule", RULES[1:], ids=names[1:])
def test_no_gradient_crosses_a_border(rule):
    """What later modules do changes nothing in the gradients of earlier ones."""
    net, (x, y) = conv_net(), conv_batch()
    _, before = grads(net, rule, x, y)
    with torch.no_grad():
        for p in (*net.local_modules[2].parameters(), *net.heads[2].parameters()):
            p.mul_(-3).add_(0.5)
    _, after = grads(net, rule, x, y)
    for name in before:
        later = name.startswith(("local_modules.2", "heads.2"))
        assert torch.equal(before[name], after[name]) != later


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_batchnorm_buffers_are_updated_once(rule):
    net, (x, y) = conv_net(), conv_batch()
    reference = copy.deepcopy(net)
    rule.gradients(net, x, y)
    with torch.no_grad():
        reference.all_scores(x)
    for name, buffer in net.named_buffers():
        assert torch.allclose(buffer, reference.get_buffer(name), atol=1e-6), name


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_rules_add_no_parameter_and_leave_losses_detached(rule):
    net, (x, y) = conv_net(), conv_batch()
    before = {name: p.clone() for name, p in net.named_parameters()}
    losses = rule.gradients(net, x, y)
    assert losses.shape == (3,)
    assert not losses.requires_grad
    after = dict(net.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert all(p.grad is not None for p in after.values())


@pytest.mark.parametrize("rule", RULES, ids=names)
def test_rules_add_to_gradients_that_are_there(rule):
    net, (x, y) = smooth_net(), smooth_batch()
    _, once = grads(net, rule, x, y)
    rule.gradients(net, x, y)
    for name, p in net.named_parameters():
        assert torch.allclose(p.grad, 2 * once[name], atol=1e-12)


@pytest.mark.parametrize("weight", [-0.1, float("nan")])
def test_sgr_weight_must_not_be_negative(weight):
    with pytest.raises(ConfigError, match="zero or larger"):
        SGR(weight)
