"""NoProp against its definition, and the algebra of its noise."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local import ConvNet, IsolatedNetwork, NoProp, noprop_network, noprop_posterior
from localbook.local.rules.noprop import schedule

CLASSES = 3


def batch() -> tuple[Tensor, Tensor]:
    x = torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    return x.double(), torch.arange(6) % CLASSES


def network() -> IsolatedNetwork:
    torch.manual_seed(0)
    trunks = [nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten()).double() for _ in range(3)]
    return noprop_network(trunks, batch()[0], CLASSES, seed=1)


def gradient(net: IsolatedNetwork, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    net = copy.deepcopy(net)
    torch.manual_seed(5)
    NoProp(0.2).gradients(net, x, y)
    return {name: p.grad for name, p in net.named_parameters()}


def test_gradients_by_the_definition() -> None:
    net, (x, y) = network(), batch()
    found = gradient(net, x, y)
    torch.manual_seed(5)
    losses = NoProp(0.2).gradients(copy.deepcopy(net), x, y)
    levels, u = schedule(3), torch.eye(CLASSES).double()[y]
    torch.manual_seed(5)
    for t, (block, head) in enumerate(net.pairs()):
        z = levels[t] ** 0.5 * u + (1 - levels[t]) ** 0.5 * torch.randn_like(u)
        after = levels[t + 1] ** 0.5 * u + (1 - levels[t + 1]) ** 0.5 * torch.randn_like(u)
        hidden = torch.cat([block.trunk(x), block.embed(z)], 1).relu()
        guess = block.guess[1](hidden).softmax(1)
        loss = 0.1 * (guess - u).square().sum(1).mean()
        assert losses[t].item() == pytest.approx(loss.item(), rel=1e-10)
        expected = torch.autograd.grad(loss, list(block.parameters()))
        for (name, _), value in zip(block.named_parameters(), expected, strict=True):
            assert torch.allclose(found[f"local_modules.{t}.{name}"], value, atol=1e-12)
        read = F.cross_entropy(head.linear(after), y)
        expected = torch.autograd.grad(read, list(head.parameters()))
        for (name, _), value in zip(head.named_parameters(), expected, strict=True):
            assert torch.allclose(found[f"heads.{t}.{name}"], value, atol=1e-12)


def test_no_module_sees_another() -> None:
    net, (x, y) = network(), batch()
    before = gradient(net, x, y)
    with torch.no_grad():
        for p in (*net.local_modules[0].parameters(), *net.heads[0].parameters()):
            p.mul_(-3).add_(0.5)
    after = gradient(net, x, y)
    for name in before:
        own = name.startswith(("local_modules.0", "heads.0"))
        assert torch.equal(before[name], after[name]) != own


@pytest.mark.parametrize("steps", [1, 4, 20])
def test_a_right_guess_leads_along_the_noise_schedule(steps: int) -> None:
    levels = schedule(steps)
    assert levels == sorted(levels)
    assert 0 < levels[0] < levels[-1] < 1
    for before, after in pairwise(levels):
        a, b, c = noprop_posterior(before, after)
        assert a + b * before**0.5 == pytest.approx(after**0.5)
        assert b**2 * (1 - before) + c == pytest.approx(1 - after)


def test_the_chain_starts_from_the_image_alone() -> None:
    net, (x, _) = network(), batch()
    state = torch.cat([x.flatten(1), torch.zeros(6, CLASSES)], 1)
    first = net.local_modules[0]
    assert torch.equal(first(x), first(state))
    assert torch.equal(first(x)[:, :32], x.flatten(1))
    assert net(x).shape == (6, CLASSES)
    assert len(net.all_scores(x)) == 3


def test_it_learns_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(96) % CLASSES
    x = 2 * torch.randn(CLASSES, 16, generator=generator)[y]
    x = x + 0.3 * torch.randn(96, 16, generator=generator)
    torch.manual_seed(0)
    net = noprop_network([nn.Linear(16, 16) for _ in range(3)], x, CLASSES, seed=0)
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(200):
        optimiser.zero_grad()
        losses = NoProp().gradients(net, x, y)
        optimiser.step()
    assert losses.shape == (3,)
    assert not losses.requires_grad
    assert (net(x).argmax(1) == y).float().mean() > 0.9


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"η=0\.0 must be a positive number"):
        NoProp(0.0)
    x, y = batch()
    with pytest.raises(ConfigError, match="module 1 is not a NoPropBlock"):
        NoProp().gradients(ConvNet((4,), (1,)).build(2, CLASSES, 0), x.float(), y)
    with pytest.raises(ConfigError, match=r"trunk 1 gives shape \(6, 3, 2, 2\), not features"):
        noprop_network([nn.Conv2d(2, 3, 3)], x.float(), CLASSES, seed=0)
