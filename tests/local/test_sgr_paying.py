"""SGR whose penalty only some modules pay in a step."""

import pytest
import torch
from torch import nn

from localbook.errors import ConfigError
from localbook.local import SGR, ConvNet, IsolatedNetwork, PredSim

PATHS = ("double_backward", "forward_over_reverse")


def net_of(modules):
    torch.manual_seed(0)
    parts = [nn.Sequential(nn.Linear(5, 5), nn.Tanh()) for _ in range(modules)]
    return IsolatedNetwork(parts, [nn.Linear(5, 3) for _ in range(modules)]).double()


def gradient(rule, net, seed=2):
    torch.manual_seed(1)
    x, y = torch.randn(8, 5).double(), torch.arange(8) % 3
    torch.manual_seed(seed)
    net.zero_grad(set_to_none=True)
    rule.gradients(net, x, y)
    return torch.cat([p.grad.flatten() for p in net.parameters()])


def test_what_is_drawn_has_the_weights_as_its_mean():
    """The gradient is linear in the weights, so it tells which modules pay, and how much."""
    net, weights, draws = net_of(5), (9.0, 1.0, 0.0, 2.0, 4.0), 400
    local = gradient(SGR(0.0), net)
    each = [gradient(SGR(tuple(float(k == n) for k in range(5))), net) - local for n in range(1, 5)]
    rule, drawn = SGR(weights, modules_per_step=2), []
    for seed in range(draws):
        paid = torch.linalg.lstsq(torch.stack(each, 1), gradient(rule, net, seed) - local).solution
        drawn.append(tuple(round(weight, 6) + 0.0 for weight in paid.tolist()))
    assert set(drawn) == {(1.5, 0, 3, 0), (1.5, 0, 0, 6), (0, 0, 3, 6)}
    mean = torch.tensor(drawn).double().mean(0)
    assert torch.allclose(mean, torch.tensor(weights[1:]).double(), atol=0.4)


@pytest.mark.parametrize("path", PATHS)
def test_the_expected_gradient_is_that_of_all_modules(path):
    net = net_of(4)
    each = [
        gradient(SGR(tuple(6.0 if k == n else 0.0 for k in range(4)), derivative=path), net)
        for n in (1, 2, 3)
    ]
    assert torch.allclose(torch.stack(each).mean(0), gradient(SGR(2.0, derivative=path), net))
    one = gradient(SGR(2.0, derivative=path, modules_per_step=1), net)
    assert sum(torch.allclose(one, candidate) for candidate in each) == 1


def test_as_many_as_there_are_changes_nothing():
    net = net_of(4)
    for paying in (3, 4, 100):
        assert torch.equal(
            gradient(SGR(2.0, modules_per_step=paying), net), gradient(SGR(2.0), net)
        )


@pytest.mark.parametrize("paying", [0, -1])
def test_none_that_pays_is_refused(paying):
    with pytest.raises(ConfigError, match="at least one module has to pay"):
        SGR(1.0, modules_per_step=paying)


@pytest.mark.parametrize("distance", ["squared", "cosine"])
def test_a_share_of_the_samples_pays_as_all_do_on_the_average(distance):
    net = net_of(3)
    whole, local = (gradient(SGR(w, distance=distance), net) for w in (5.0, 0.0))
    torch.manual_seed(1)
    x, y = torch.randn(8, 5).double(), torch.arange(8) % 3
    total = torch.zeros_like(whole)
    rule, draws = SGR(5.0, distance=distance, samples_per_step=0.5), 600
    for _ in range(draws):
        net.zero_grad(set_to_none=True)
        rule.gradients(net, x, y)
        total += torch.cat([p.grad.flatten() for p in net.parameters()])
    assert (total / draws - whole).norm() < 0.1 * (whole - local).norm()


def test_samples_that_are_tied_together_cannot_pay_alone():
    with pytest.raises(ConfigError, match="must be a share"):
        SGR(samples_per_step=0.0)
    for more in ({"distance": "relative"}, {"recompute": True}, {"loss": PredSim()}):
        with pytest.raises(ConfigError, match="goes with the cross-entropy"):
            SGR(samples_per_step=0.5, **more)
    net = ConvNet((4, 4), (1, 1)).build(1, 3, 0)
    with pytest.raises(ConfigError, match="BatchNorm ties the samples"):
        SGR(samples_per_step=0.5).gradients(net, torch.randn(4, 1, 8, 8), torch.arange(4) % 3)
