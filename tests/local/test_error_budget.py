"""The error budget and the discord of what is trained, against plain autograd in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import grad
from torch.autograd.functional import jacobian
from torch.func import functional_call

from localbook.local import (
    BP,
    SGR,
    ConvNet,
    IsolatedNetwork,
    PlainLocal,
    PredSim,
    discord,
    equip,
    error_budget,
    telescope,
)


def smooth(norm: bool = False) -> tuple[IsolatedNetwork, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    modules = [
        nn.Sequential(nn.Linear(a, b), *([nn.BatchNorm1d(b)] if norm else []), nn.Tanh())
        for a, b in ((3, 4), (4, 5), (5, 4))
    ]
    net = IsolatedNetwork(modules, [nn.Linear(w, 3) for w in (4, 5, 4)]).double()
    return net, torch.randn(8, 3).double(), torch.arange(8) % 3


def square(parts: list[torch.Tensor]) -> float:
    return sum(p.square().sum().item() for p in parts)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_the_budget_from_its_definition(norm: bool, weight: float) -> None:
    net, x, y = smooth(norm)
    net.train()
    found = error_budget(net, SGR(weight), x, y, training=True)
    own = [p for m in net.local_modules for p in m.parameters()] + [*net.heads[-1].parameters()]
    truth = grad(F.cross_entropy(net(x), y), own)
    steps = []
    for rule in (PlainLocal(), SGR(weight)):
        net.zero_grad()
        rule.gradients(net, x, y)
        steps.append([p.grad.clone() for p in own])
    local, step = steps
    size = square(truth)
    assert found.discord == pytest.approx(
        square([t - d for t, d in zip(truth, local, strict=True)]) / size, rel=1e-9
    )
    assert found.penalty == pytest.approx(
        square([s - d for s, d in zip(step, local, strict=True)]) / size, rel=1e-9, abs=1e-15
    )
    assert found.total == pytest.approx(
        square([t - s for t, s in zip(truth, step, strict=True)]) / size, rel=1e-9
    )
    assert (found.penalty > 1e-6) == (weight > 0)


def test_its_first_part_is_the_discord_pulled_back() -> None:
    net, x, y = smooth()
    sides = telescope(net, x, y)
    head = grad(F.cross_entropy(net(x), y), [*net.heads[-1].parameters()])
    size = square([*sides.bp, *head])
    assert error_budget(net, PlainLocal(), x, y).discord == pytest.approx(
        square([*sides.error]) / size, rel=1e-9
    )
    assert error_budget(net, BP(), x, y).total == 0


def test_measuring_in_train_mode_leaves_no_trace() -> None:
    net, x, y = smooth(norm=True)
    net.eval()
    net.local_modules[1].append(nn.Dropout(0.5))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    modes, random = [m.training for m in net.modules()], torch.get_rng_state()
    error_budget(net, SGR(1.0), x, y, training=True)
    discord(net, x, y, training=True)
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert [m.training for m in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in net.parameters())


def test_discord_is_of_the_loss_and_in_the_mode_asked_for() -> None:
    net = ConvNet((4, 6, 5), (1, 2, 1)).build(3, 4, seed=0)
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8) % 4
    net = equip(net, PredSim(), x, seed=0)
    evaluated = discord(net, x, y)
    assert not torch.allclose(
        evaluated.relative[1:], discord(net, x, y, training=True).relative[1:]
    )
    found = discord(net, x, y, loss=PredSim())
    net.eval()
    inputs = net.local_modules[0](x).detach().requires_grad_()
    (delta,) = grad(PredSim()(net.heads[0], inputs, y, x), inputs)
    loss = PredSim()(net.heads[1], net.local_modules[1](inputs), y, x)
    (gamma,) = grad(loss, inputs)
    assert found.relative[1].item() == pytest.approx(
        ((gamma - delta).norm() / delta.norm()).item(), rel=1e-4
    )
    assert found.ratio[1].item() == pytest.approx((gamma.norm() / delta.norm()).item(), rel=1e-4)
    assert not torch.allclose(found.relative[1], evaluated.relative[1])


def test_discord_is_the_slope_of_a_modules_gain() -> None:
    """r_l is the gradient of what the loss changes by across the module, at its input."""
    net, x, y = smooth()
    with torch.no_grad():
        inputs = net.local_modules[0](x)
    inputs.requires_grad_()
    before = F.cross_entropy(net.heads[0](inputs), y, reduction="sum")
    after = F.cross_entropy(net.heads[1](net.local_modules[1](inputs)), y, reduction="sum")
    (slope,) = grad(after - before, inputs, retain_graph=True)
    (delta,) = grad(before, inputs)
    assert discord(net, x, y).relative[1].item() == pytest.approx(
        (slope.norm() / delta.norm()).item(), rel=1e-10
    )


def slopes(
    module: nn.Module, head: nn.Module, x: torch.Tensor, y: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    """Return output and gamma, and the spectral norms of output's Jacobians and of gamma's."""
    names = [name for name, _ in module.named_parameters()]
    values = tuple(p.detach() for p in module.parameters())

    def run(z: torch.Tensor, *w: torch.Tensor) -> torch.Tensor:
        return functional_call(module, dict(zip(names, w, strict=True)), (z,))

    def gamma(*w: torch.Tensor) -> torch.Tensor:
        z = x.detach().requires_grad_()
        return grad(F.cross_entropy(head(run(z, *w)), y), z, create_graph=True)[0]

    def norm(jacobians: tuple[torch.Tensor, ...], rows: int) -> float:
        whole = torch.cat([j.reshape(rows, -1) for j in jacobians], 1)
        return torch.linalg.matrix_norm(whole, 2).item()

    out = run(x, *values).detach().requires_grad_()
    by_input, *by_weights = jacobian(run, (x.detach(), *values))
    found = gamma(*values).detach()
    norms = [
        norm((by_input,), out.numel()),
        norm(tuple(by_weights), out.numel()),
        norm(jacobian(gamma, values), x.numel()),
    ]
    return out, found, norms


def test_the_error_is_bounded_by_the_discord() -> None:
    """|E_k| <= b sum_j a^(j-k-1) |r_j| + 2 λ N c |r_k|, with whole Jacobians for a, b and c."""
    net, x, y = smooth()
    weight, count = 0.7, len(x)
    inputs, r, a, b, c = [], [], [], [], []
    delta: torch.Tensor | None = None
    for module, head in net.pairs():
        out, found, norms = slopes(module, head, x, y)
        for bounds, norm in zip((a, b, c), norms, strict=True):
            bounds.append(norm)
        r.append(0.0 if delta is None else (found - delta).norm().item())
        (delta,) = grad(F.cross_entropy(head(out), y), out)
        inputs.append(x)
        x = out.detach()
    truth = grad(F.cross_entropy(net(inputs[0]), y), [*net.local_modules.parameters()])
    SGR(weight).gradients(net, inputs[0], y)
    own = iter(zip(truth, net.local_modules.parameters(), strict=True))
    for k, module in enumerate(net.local_modules):
        pairs = [next(own) for _ in module.parameters()]
        error = torch.cat([(t - p.grad).flatten() for t, p in pairs]).norm().item()
        later = sum(max(a) ** (j - k - 1) * r[j] for j in range(k + 1, len(net)))
        bound = max(b) * later + 2 * weight * count * max(c) * r[k]
        assert error <= bound < 40 * error
        if k == len(net) - 1:  # its error is the penalty alone: the batch size belongs there
            assert error > bound / count
