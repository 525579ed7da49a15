"""Modules that agree for every label add nothing: the theorem on full agreement, by brute force."""

import copy
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from localbook.local import IsolatedNetwork, discord


@cache
def agreed(every: bool) -> tuple[IsolatedNetwork, torch.Tensor, torch.Tensor]:
    """Fit a second module and its head to nothing but agreement with a first head in the plane."""
    torch.manual_seed(0)
    x, first = torch.randn(60, 2).double(), nn.Linear(2, 3).double()
    second = nn.Sequential(nn.Linear(2, 10), nn.Tanh(), nn.Linear(10, 3)).double()
    own = first(x).argmax(1)
    labels = [torch.full_like(own, c) for c in range(3)] if every else [own]
    fit = torch.optim.LBFGS(second.parameters(), max_iter=70, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        fit.zero_grad()
        z = x.clone().requires_grad_()
        whole = torch.zeros(()).double()
        for each in labels:
            gain = F.cross_entropy(second(z), each) - F.cross_entropy(first(z), each)
            (slope,) = torch.autograd.grad(gain, z, create_graph=True)
            whole = whole + len(x) * slope.square().sum()
        whole.backward()
        return whole

    start = closure().item()
    fit.step(closure)
    assert closure().item() < 1e-4 * start
    return IsolatedNetwork([nn.Identity(), nn.Sequential(*second[:2])], [first, second[2]]), x, own


def test_for_every_label_the_network_decides_as_its_first_head() -> None:
    net, x, own = agreed(every=True)
    first, second = (scores.softmax(1) for scores in net.all_scores(x))
    assert torch.allclose(second, first, atol=5e-3)
    for label in range(3):
        assert discord(net, x, torch.full_like(own, label)).relative[1] < 0.03


def test_for_own_labels_alone_a_class_gains_one_number_that_is_bounded() -> None:
    net, x, own = agreed(every=False)
    assert discord(net, x, own).relative[1] < 0.03
    p = [scores.softmax(1)[torch.arange(len(x)), own] for scores in net.all_scores(x)]
    gain = (p[1] / p[0]).log()
    for label in own.unique():
        in_class = own == label
        assert gain[in_class].max() - gain[in_class].min() < 0.01
        assert gain[in_class].max() <= -p[0][in_class].max().log() + 0.01


def test_without_agreement_neither_is_so() -> None:
    net, x, own = copy.deepcopy(agreed(every=True))
    with torch.no_grad():
        net.local_modules[1][0].weight.mul_(1.5)
    first, second = (scores.softmax(1) for scores in net.all_scores(x))
    assert (second - first).abs().max() > 0.05
    assert discord(net, x, own).relative[1] > 0.1
