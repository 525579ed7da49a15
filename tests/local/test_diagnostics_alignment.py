import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.local import (
    BP,
    SGR,
    ConvNet,
    DirectFeedbackAlignment,
    Greedy,
    IsolatedNetwork,
    PlainLocal,
    add_heads,
    alignment,
    cifar_resnet,
    small_vit,
    split,
    telescope,
)


def batch(n=6, side=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, side, side, generator=generator, dtype=dtype), torch.arange(n) % 4


def convnet():
    net = ConvNet((4, 6, 5), (1, 2, 1)).build(3, 4, seed=0)
    with torch.no_grad():  # so that eval mode is not the identity
        net(torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    return net


def gradient_of_last_loss(net, x, y):
    """Return ∂F/∂w_k of each module, flattened, by one backward pass in eval mode."""
    net.eval().zero_grad()
    F.cross_entropy(net(x), y).backward()
    found = [torch.cat([p.grad.flatten() for p in m.parameters()]) for m in net.local_modules]
    net.zero_grad()
    return found


def local_gradient(net, x, y, number):
    """Return the gradient of module ``number``'s own loss, its input held fixed."""
    net.eval().zero_grad()
    with torch.no_grad():
        for module in net.local_modules[:number]:
            x = module(x)
    module = net.local_modules[number]
    F.cross_entropy(net.heads[number](module(x)), y).backward()
    found = torch.cat([p.grad.flatten() for p in module.parameters()])
    net.zero_grad()
    return found


def test_alignment_against_separate_backward_passes():
    net, (x, y) = convnet(), batch()
    found = alignment(net, PlainLocal(), x, y)
    for number, truth in enumerate(gradient_of_last_loss(net, x, y)):
        own = local_gradient(net, x, y, number)
        cosine = (own @ truth / (own.norm() * truth.norm())).item()
        assert found.cosine[number].item() == pytest.approx(cosine, rel=1e-4)
        assert found.ratio[number].item() == pytest.approx(
            (own.norm() / truth.norm()).item(), rel=1e-4
        )
    assert abs(found.cosine[0].item()) < 0.9  # the measure tells something
    assert found.cosine[-1].item() == pytest.approx(1, abs=1e-5)


def test_back_propagation_is_aligned_with_itself():
    found = alignment(convnet(), BP(), *batch())
    assert torch.allclose(found.cosine, torch.ones(3))
    assert torch.allclose(found.ratio, torch.ones(3))


def test_the_penalty_counts_as_part_of_the_update():
    net, (x, y) = convnet(), batch()
    plain, sgr = (alignment(net, rule, x, y) for rule in (PlainLocal(), SGR(weight=10.0)))
    assert torch.equal(plain.cosine[0], sgr.cosine[0])  # the first module has no penalty
    assert abs(plain.ratio[1] - sgr.ratio[1]) > 1e-3


def test_a_module_without_a_gradient_has_no_direction():
    found = alignment(convnet(), Greedy(progress=0.0), *batch())
    assert not math.isnan(found.cosine[0])
    assert found.cosine[1:].isnan().all()
    assert found.ratio[1:].tolist() == [0, 0]


@pytest.mark.parametrize("rule", [SGR(), BP(), DirectFeedbackAlignment()])
def test_measuring_leaves_everything_as_it_was(rule):
    net, (x, y) = convnet().train(), batch()
    net.local_modules[1].eval()  # a mode of its own
    for number, p in enumerate(net.parameters()):
        p.grad = torch.full_like(p, number) if number % 2 else None
    state = {k: v.clone() for k, v in net.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    modes = [m.training for m in net.modules()]
    torch.manual_seed(3)
    random = torch.get_rng_state()
    alignment(net, rule, x, y)
    telescope(net, x, y)
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(state[k], v) for k, v in net.state_dict().items())
    for p, before in zip(net.parameters(), gradients, strict=True):
        assert (p.grad is None) if before is None else torch.equal(p.grad, before)


def test_the_identity_and_the_rule_agree_on_the_cosine_of_plain_local_learning():
    net, (x, y) = convnet(), batch()
    expected = alignment(net, PlainLocal(), x, y).cosine
    assert torch.allclose(telescope(net, x, y).cosine(), expected, atol=1e-6)


# The telescoping identity


def tanh_mlp(depth, dtype=torch.float64):
    torch.manual_seed(0)
    sizes = [192, *range(7, 7 + depth)]
    modules = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in pairwise(sizes)]
    modules[0].insert(0, nn.Flatten())
    return IsolatedNetwork(modules, [nn.Linear(b, 4) for b in sizes[1:]]).to(dtype)


def isolated(model, modules):
    x, _ = batch(side=32)
    return add_heads(split(model, modules, x).modules, "mlp", x, torch.tensor([3]), seed=0)


NETS = {
    "two modules": lambda: (tanh_mlp(2), 8),
    "five modules": lambda: (tanh_mlp(5), 8),
    "convolutions": lambda: (convnet(), 8),
    "resnet": lambda: (isolated(cifar_resnet(8, 4, seed=0), 4), 32),
    "transformer": lambda: (isolated(small_vit(4, width=24, depth=3, heads=2, seed=0), 4), 32),
}


@pytest.mark.parametrize("name", NETS)
def test_pulled_back_discord_is_what_local_learning_lacks(name):
    net, side = NETS[name]()
    net.double()
    x, y = batch(side=side, dtype=torch.float64)
    found = telescope(net, x, y)
    truth = gradient_of_last_loss(net, x, y)
    for number in range(len(net)):
        assert torch.allclose(found.bp[number], truth[number], atol=1e-13)
        own = local_gradient(net, x, y, number)
        assert torch.allclose(found.local[number], own, atol=1e-13)
        gap = found.bp[number] - found.local[number] - found.error[number]
        assert gap.abs().max() < 1e-12
    assert max(e.abs().max() for e in found.error[:-1]) > 1e-3  # there is something to explain
    assert not found.error[-1].any()


def test_the_error_is_a_sum_of_products_of_jacobians():
    """Compute e_k from whole Jacobian matrices, by its definition."""
    net, (x, y) = tanh_mlp(4), batch(2, dtype=torch.float64)
    found = telescope(net, x, y)
    xs = [x.flatten(1)]
    for module in net.local_modules:
        xs.append(module(xs[-1]).detach())
    jacobian = torch.autograd.functional.jacobian

    def size(m):
        return xs[m].numel()

    def loss(m):
        return lambda out: F.cross_entropy(net.heads[m - 1](out), y)

    def derivative(m):  # A_l
        whole = jacobian(net.local_modules[m - 1], xs[m - 1])
        return whole.reshape(size(m), size(m - 1))

    delta = {m: jacobian(loss(m), xs[m]).flatten() for m in range(1, 5)}
    discord = {m: derivative(m).T @ delta[m] - delta[m - 1] for m in range(2, 5)}
    for k in range(1, 5):
        total = torch.zeros(size(k), dtype=torch.float64)
        for j in range(k + 1, 5):
            term = discord[j]
            for m in range(j - 1, k, -1):
                term = derivative(m).T @ term
            total += term
        weights = dict(net.local_modules[k - 1].named_parameters())
        out = torch.func.functional_call(net.local_modules[k - 1], weights, (xs[k - 1],))
        error = torch.autograd.grad(out.flatten(), list(weights.values()), total)
        flat = torch.cat([e.flatten() for e in error])
        assert torch.allclose(found.error[k - 1], flat, atol=1e-13)


def test_zero_discord_means_back_propagation():
    """Modules that change nothing, behind one head that all share."""
    first = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    rest = [nn.Linear(5, 5) for _ in range(3)]
    for layer in rest:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    head = nn.Linear(5, 4)
    net = IsolatedNetwork([first, *rest], [head] * 4).double()
    found = telescope(net, *batch(dtype=torch.float64))
    for bp, own, error in zip(found.bp, found.local, found.error, strict=True):
        assert torch.allclose(bp, own, atol=1e-15)
        assert error.abs().max() < 1e-15
        assert own.norm() > 1e-2


def test_a_frozen_parameter_takes_no_part():
    net = tanh_mlp(3)
    net.local_modules[1][0].bias.requires_grad_(False)
    found = telescope(net, *batch(dtype=torch.float64))
    assert [len(e) for e in found.error] == [len(b) for b in found.bp]
    assert len(found.bp[1]) == net.local_modules[1][0].weight.numel()


def test_a_network_of_heads_alone_has_nothing_to_align():
    net = IsolatedNetwork([nn.Flatten(), nn.Identity()], [nn.Linear(192, 4) for _ in range(2)])
    x, y = batch()
    assert alignment(net, PlainLocal(), x, y).cosine.isnan().all()
    assert telescope(net, x, y).cosine().isnan().all()
