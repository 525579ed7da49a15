"""Agreement of predictions (SID), against its formula by plain autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.errors import ConfigError
from localbook.local import SID, IsolatedNetwork, PlainLocal


def smooth() -> tuple[IsolatedNetwork, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in ((3, 4), (4, 5), (5, 4))]
    net = IsolatedNetwork(modules, [nn.Linear(w, 3) for w in (4, 5, 4)]).double()
    return net, torch.randn(7, 3).double(), torch.arange(7) % 3


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_gradients_are_those_of_the_papers_objective(share: float) -> None:
    net, x, y = smooth()
    losses = SID(share).gradients(net, x, y)
    before = None
    for number, (module, head) in enumerate(net.pairs()):
        x = module(x.detach())
        log_p = head(x).log_softmax(1)
        loss = -log_p[torch.arange(len(y)), y].mean()
        total = loss
        if before is not None:  # KL of the predecessor's belief from the module's, written out
            gap = (before * (before.log() - log_p)).sum(1).mean()
            total = (1 - share) * loss + share * gap
        own = [*module.parameters(), *head.parameters()]
        for p, expected in zip(own, torch.autograd.grad(total, own), strict=True):
            torch.testing.assert_close(p.grad, expected, rtol=1e-10, atol=1e-13)
        assert losses[number].item() == pytest.approx(loss.item())
        before = log_p.exp().detach()


def test_soft_targets_and_shares_out_of_range() -> None:
    net, x, y = smooth()
    hard = SID().gradients(net, x, y)
    assert torch.allclose(hard, SID().gradients(net, x, F.one_hot(y).double()))
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="the share of agreement"):
            SID(share)


def test_a_predecessor_that_agrees_pulls_nothing() -> None:
    """Module 2 is the identity under the same head: its gradient is the share left of plain's."""
    torch.manual_seed(0)
    first, head = nn.Linear(3, 4), nn.Linear(4, 3)
    second = nn.Linear(4, 4)
    with torch.no_grad():
        second.weight.copy_(torch.eye(4))
        second.bias.zero_()
    found = []
    for rule in (SID(0.25), PlainLocal()):
        net = IsolatedNetwork([first, second], [head, head])
        net.zero_grad()
        rule.gradients(net, torch.randn(5, 3, generator=torch.Generator().manual_seed(1)),
                       torch.arange(5) % 3)  # fmt: skip
        found.append(second.weight.grad.clone())
    torch.testing.assert_close(found[0], 0.75 * found[1])
