import pytest
import torch
from torch import nn

from localbook.errors import ConfigError
from localbook.local import ConvNet, IsolatedNetwork


def test_forward_is_the_last_of_all_scores():
    net = ConvNet((4, 6), (1, 2)).build(3, 5, seed=0).eval()
    x = torch.randn(2, 3, 8, 8)
    scores = net.all_scores(x)
    assert [s.shape for s in scores] == [(2, 5), (2, 5)]
    assert torch.equal(net(x), scores[-1])


def test_the_seed_decides_the_weights_and_leaves_the_global_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (ConvNet((4,), (1,)).build(1, 2, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    weights = [net.local_modules[0][0].weight for net in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("heads", [0, 2])
def test_one_head_for_each_module(heads):
    with pytest.raises(ConfigError, match="exactly one head for each"):
        IsolatedNetwork([nn.Identity()], [nn.Identity()] * heads)


def test_no_modules():
    with pytest.raises(ConfigError, match="at least one module"):
        IsolatedNetwork([], [])
