"""DGL's auxiliary network, and that plain local learning trains it."""

import pytest
import torch
from torch import nn

from localbook.errors import ConfigError
from localbook.local import ConvNet, PlainLocal, dgl_head, with_dgl_heads


@pytest.mark.parametrize("side", [1, 6, 32])
def test_the_head_works_at_a_quarter_of_the_side_and_then_at_two_by_two(side: int) -> None:
    x, state = torch.randn(4, 5, side, side), torch.get_rng_state()
    head, same, other = (dgl_head(x, 10, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    head.eval()
    quarter = head[0](x)
    assert quarter.shape[2:] == (-(-side // 4),) * 2
    assert head(x).shape == (4, 10)
    kinds = [type(layer) for layer in head]
    assert kinds.count(nn.Conv2d) == kinds.count(nn.Linear) - 1 == 3
    assert head[kinds.index(nn.Linear)].in_features == 5 * 2 * 2
    assert torch.equal(head(x), same.eval()(x))
    assert not torch.equal(head(x), other.eval()(x))


def test_plain_local_learning_trains_every_part() -> None:
    net = ConvNet((4, 6), (1, 2)).build(3, 4, 0)
    x, y = torch.randn(6, 3, 8, 8), torch.arange(6) % 4
    made = with_dgl_heads(net, x, seed=0)
    assert made.local_modules[0] is net.local_modules[0]
    assert made.heads[1] is net.heads[1]
    assert torch.equal(made.eval()(x), net(x))
    assert PlainLocal().gradients(made.train(), x, y).shape == (2,)
    assert all(p.grad is not None for p in made.parameters())


def test_tokens_are_refused() -> None:
    with pytest.raises(ConfigError, match="take the head 'mlp' for tokens"):
        dgl_head(torch.zeros(2, 5, 4), 10, seed=0)
