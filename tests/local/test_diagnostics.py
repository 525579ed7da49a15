import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.local import ConvNet, IsolatedNetwork, accuracy, discord


def batch(n=8):
    torch.manual_seed(0)
    return torch.randn(n, 3, 8, 8), torch.arange(n) % 4


def test_discord_against_one_sample_at_a_time():
    net = ConvNet((4, 6, 5), (1, 2, 1)).build(3, 4, seed=0).eval()
    x, y = batch()
    found = discord(net, x, y)
    activations = [x]
    for module in net.local_modules:
        activations.append(module(activations[-1]).detach())
    for number in (1, 2):
        gap, length, cosines = 0.0, 0.0, []
        for i in range(len(y)):
            one = activations[number][i : i + 1].requires_grad_()
            before = F.cross_entropy(net.heads[number - 1](one), y[i : i + 1])
            after = F.cross_entropy(net.heads[number](net.local_modules[number](one)), y[i : i + 1])
            (delta,) = torch.autograd.grad(before, one)
            (gamma,) = torch.autograd.grad(after, one)
            gap += (gamma - delta).square().sum().item()
            length += delta.square().sum().item()
            cosines.append(((gamma * delta).sum() / (gamma.norm() * delta.norm())).item())
        assert found.relative[number].item() == pytest.approx(math.sqrt(gap / length), rel=1e-4)
        assert found.cosine[number].item() == pytest.approx(sum(cosines) / len(y), rel=1e-4)


def test_the_first_module_has_no_discord():
    net = ConvNet((4, 6), (1, 2)).build(3, 4, seed=0)
    found = discord(net, *batch())
    assert math.isnan(found.relative[0])
    assert math.isnan(found.cosine[0])


def test_discord_is_zero_where_a_module_changes_nothing():
    """A second module that is the identity, with the first one's head, agrees completely."""
    first = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    head = nn.Linear(5, 4)
    found = discord(IsolatedNetwork([first, nn.Identity()], [head, head]), *batch())
    assert found.relative[1] == 0
    assert found.cosine[1].item() == pytest.approx(1)


def test_discord_leaves_nothing_behind():
    net = ConvNet((4, 6), (1, 2)).build(3, 4, seed=0).train()
    net.local_modules[0].eval()  # a mode of its own
    modes = [m.training for m in net.modules()]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    discord(net, *batch())
    accuracy(net, [batch()])
    assert [m.training for m in net.modules()] == modes
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_discord_does_not_depend_on_a_common_length_of_gradients():
    x, y = batch()
    found = []
    for length in (1e-6, 1e-24):  # of the heads' weights, so that all classes are as probable
        net = ConvNet((4, 6), (1, 2)).build(3, 4, seed=0)
        for head in net.heads:
            nn.init.zeros_(head[-1].bias)
            head[-1].weight.data *= length
        found.append(discord(net, x, y))
    assert found[0].cosine[1].abs() > 1e-3
    torch.testing.assert_close(found[0].cosine[1], found[1].cosine[1])
    torch.testing.assert_close(found[0].relative[1], found[1].relative[1])


def test_accuracy_counts_over_batches():
    class Says(nn.Module):
        def __init__(self, answer):
            super().__init__()
            self.answer = answer

        def forward(self, x):
            return F.one_hot(torch.full((len(x),), self.answer), 4).float()

    net = IsolatedNetwork([nn.Identity()] * 2, [Says(0), Says(1)])
    x, y = torch.zeros(8, 1), torch.tensor([0, 0, 0, 1, 2, 3, 3, 3])
    batches = [(x[:5], y[:5]), (x[5:], y[5:])]
    assert accuracy(net, batches).tolist() == [3 / 8, 1 / 8]
