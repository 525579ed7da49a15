"""AugLocal's heads: built like later modules, and trained by plain local learning."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.errors import ConfigError
from localbook.local import ConvNet, IsolatedNetwork, PlainLocal, with_auglocal_heads

X = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(4) % 4
WIDTHS = (4, 5, 6, 7, 8, 9)


def widths_of(head: nn.Module) -> list[int]:
    return [m.out_channels for m in head.modules() if isinstance(m, nn.Conv2d)]


@pytest.mark.parametrize(
    ("depth", "shrink", "expected"),
    [
        # by hand: round(l + i (5 - l) / d) for i = 1..d, and every later layer where d is too many
        (2, 0.0, [[6, 9], [7, 9], [8, 9], [8, 9], [9]]),
        (3, 1.0, [[6, 7, 9], [7, 9], [8, 9], [8, 9], [9]]),
        (9, 0.0, [[5, 6, 7, 8, 9], [6, 7, 8, 9], [7, 8, 9], [8, 9], [9]]),
    ],
)
def test_layers_are_chosen_evenly_up_to_the_last(
    depth: int, shrink: float, expected: list[list[int]]
) -> None:
    net = ConvNet(WIDTHS, (1, 2, 1, 1, 1, 1), norm="none").build(3, 4, seed=0)
    state = torch.get_rng_state()
    made = with_auglocal_heads(net, X, depth=depth, shrink=shrink, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert [widths_of(head) for head in made.heads[:-1]] == expected
    assert made.heads[-1] is net.heads[-1]
    assert made.local_modules[0] is net.local_modules[0]
    own = {id(p) for p in net.parameters()}
    assert not any(id(p) in own for head in made.heads[:-1] for p in head.parameters())


def test_the_gradients_are_those_of_each_heads_cross_entropy() -> None:
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in ((3, 4), (4, 5), (5, 6))]
    net = IsolatedNetwork(modules, [nn.Linear(w, 4) for w in (4, 5, 6)]).double()
    x = torch.randn(4, 3).double()
    net = with_auglocal_heads(net, x, depth=1, seed=0)
    PlainLocal().gradients(net, x, Y)
    layer, classifier = net.heads[0][0][0], net.heads[0][1]
    assert layer.weight.shape == (6, 4)  # like module 3, for the four features of module 1
    features = modules[0](x)
    scores = (features @ layer.weight.T + layer.bias).tanh() @ classifier.weight.T + classifier.bias
    own = [*modules[0].parameters(), *net.heads[0].parameters()]
    for p, expected in zip(own, torch.autograd.grad(F.cross_entropy(scores, Y), own), strict=True):
        torch.testing.assert_close(p.grad, expected, rtol=1e-10, atol=1e-13)


def test_what_cannot_be_built_is_refused() -> None:
    net = ConvNet((4, 4), (1, 1)).build(3, 4, seed=0)
    with pytest.raises(ConfigError, match="depth=0"):
        with_auglocal_heads(net, X, depth=0, seed=0)
    modules = [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)]
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(36 * 4, 4)) for _ in range(2)]
    chain = IsolatedNetwork(modules, [*heads, nn.Sequential(nn.Flatten(), nn.Linear(96, 4))])
    with pytest.raises(ConfigError, match="cut the network where modules begin"):
        with_auglocal_heads(chain, X, depth=1, seed=0)
