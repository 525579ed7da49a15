"""Forward-Forward against its definition, sample by sample."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local import ConvNet, ForwardForward, IsolatedNetwork, with_length_norm
from tests.local.gradients import gradient

RULE = ForwardForward(classes=3, threshold=0.4, seed=2)


def mlp() -> IsolatedNetwork:
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(a, 6), nn.Softplus()) for a in (5, 6, 6)]
    return with_length_norm(IsolatedNetwork(modules, [nn.Linear(6, 3) for _ in modules])).double()


def vectors(count: int = 7) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 5, generator=torch.Generator().manual_seed(1))
    return x.double(), torch.arange(count) % 3


def test_gradients_by_the_definition() -> None:
    net, (x, y) = mlp(), vectors()
    found = gradient(RULE, net, x, y)
    signs = torch.randint(0, 2, (3, 5), generator=torch.Generator().manual_seed(2)) * 2.0 - 1
    wrong = [(label + 1 + i % 2) % 3 for i, label in enumerate(y.tolist())]
    for number, (module, head) in enumerate(net.pairs()):
        before = nn.Sequential(*net.local_modules[:number])
        total = torch.zeros((), dtype=torch.float64)
        probe = torch.zeros((), dtype=torch.float64)
        for i in range(len(y)):
            good = [
                module(before(image[None]).detach()).square().sum()
                for image in (x[i] + signs[y[i]], x[i] + signs[wrong[i]])
            ]
            level = 0.4 * 6  # the threshold times the width
            total = total + (1 + (level - good[0]).exp()).log()
            total = total + (1 + (good[1] - level).exp()).log()
            scores = head(module(before(x[i : i + 1])).detach())
            probe = probe + F.cross_entropy(scores, y[i : i + 1])
        parameters = list(module.parameters())
        expected = torch.autograd.grad(total / len(y), parameters)
        for (name, _), value in zip(module.named_parameters(), expected, strict=True):
            assert torch.allclose(found[f"local_modules.{number}.{name}"], value, atol=1e-14)
        expected = torch.autograd.grad(probe / len(y), list(head.parameters()))
        for (name, _), value in zip(head.named_parameters(), expected, strict=True):
            assert torch.allclose(found[f"heads.{number}.{name}"], value, atol=1e-14)


def test_no_gradient_crosses_a_border() -> None:
    net, (x, y) = mlp(), vectors()
    before = gradient(RULE, net, x, y)
    with torch.no_grad():
        for p in (*net.local_modules[2].parameters(), *net.heads[2].parameters()):
            p.mul_(-3).add_(0.5)
    after = gradient(RULE, net, x, y)
    for name in before:
        later = name.startswith(("local_modules.2", "heads.2"))
        assert torch.equal(before[name], after[name]) != later


def test_length_says_nothing_to_the_next_module() -> None:
    net, (x, _) = mlp(), vectors()
    out = net.local_modules[0](x)
    assert torch.allclose(net.local_modules[1](out), net.local_modules[1](7 * out))
    assert net.local_modules[0](x).shape == (7, 6)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_wrong_labels_are_wrong_and_of_every_kind(classes: int) -> None:
    rule, y = ForwardForward(classes), torch.arange(400) // 20 % classes
    wrong = rule.wrong(y)
    assert not (wrong == y).any()
    assert len({*zip(y.tolist(), wrong.tolist(), strict=True)}) == classes * (classes - 1)


def test_it_learns_clusters_by_goodness_and_by_probe() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(96) % 3
    x = 2 * torch.randn(3, 16, generator=generator)[y]
    x = x + 0.3 * torch.randn(96, 16, generator=generator)
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(a, 32), nn.ReLU()) for a in (16, 32)]
    net = with_length_norm(IsolatedNetwork(modules, [nn.Linear(32, 3), nn.Linear(32, 3)]))
    rule = ForwardForward(classes=3)
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(150):
        order = torch.randperm(96, generator=generator)
        optimiser.zero_grad()
        losses = rule.gradients(net, x[order], y[order])
        optimiser.step()
    assert losses.shape == (2,)
    assert not losses.requires_grad
    assert (rule.scores(net, x).argmax(1) == y).float().mean() > 0.9
    assert (net(x).argmax(1) == y).float().mean() > 0.9


def test_batchnorm_sees_the_batch_once() -> None:
    net = ConvNet((4, 4), (1, 1)).build(3, 3, 0)
    RULE.gradients(net, torch.randn(6, 3, 8, 8), torch.arange(6) % 3)
    assert net.local_modules[1][1].num_batches_tracked == 1
    assert all(p.grad is not None for p in net.parameters())


def test_arguments_that_make_no_sense_are_refused() -> None:
    for wrong in ({"classes": 1}, {"classes": 3, "threshold": 0.0}):
        with pytest.raises(ConfigError, match="needs two or more classes"):
            ForwardForward(**wrong)
    x, _ = vectors()
    with pytest.raises(ConfigError, match="labels go up to 6 but Forward-Forward was given 3"):
        RULE.gradients(mlp(), x, torch.arange(7))
