"""BP-free SGR: the closed form against autograd's SGR and against formulas written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from localbook.errors import ConfigError
from localbook.local import SGR, BPFreeSGR, ConvNet, IsolatedNetwork, PlainLocal, add_heads
from tests.local.gradients import gradient


def images(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, 8, 8, generator=generator).to(dtype), torch.arange(6) % 4


def convnet() -> IsolatedNetwork:
    return ConvNet((4, 6, 6, 5), (1, 2, 1, 1)).build(3, 4, 0).double()


def with_heads(name: str) -> IsolatedNetwork:
    torch.manual_seed(0)
    modules = [
        nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, groups=3), nn.Tanh()),
        nn.Sequential(nn.Conv2d(6, 8, 3, dilation=1), nn.BatchNorm2d(8, affine=False), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(32, 9), nn.BatchNorm1d(9), nn.Tanh()),
        nn.Linear(9, 4, bias=False),
    ]
    x, y = images(torch.float32)
    return add_heads(modules, name, x, y, seed=0).double()


NETS = {
    "convnet": convnet,
    "linear heads": lambda: with_heads("linear"),
    "fixed heads": lambda: with_heads("simplex_etf"),
    "eval mode": lambda: convnet().eval(),
}


@pytest.mark.parametrize("weight", [0.0, 3.0])
@pytest.mark.parametrize("name", NETS)
def test_the_closed_form_is_sgr(name: str, weight: float) -> None:
    net, (x, y) = NETS[name](), images()
    found = gradient(BPFreeSGR(weight), net, x, y)
    expected = gradient(SGR(weight), net, x, y)
    plain = gradient(PlainLocal(), net, x, y)
    assert found.keys() == expected.keys()
    for key in found:
        assert torch.allclose(found[key], expected[key], rtol=1e-9, atol=1e-12), key
    changed = [key for key in found if not torch.allclose(found[key], plain[key], rtol=1e-6)]
    assert bool(changed) == (weight > 0)
    assert not any(key.startswith(("local_modules.0", "heads.0")) for key in changed)


def test_the_formulas_written_out() -> None:
    """One tanh layer after another, by the formulas of the docstring and their derivatives."""
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(a, b, bias=False), nn.Tanh()) for a, b in ((5, 4), (4, 6))]
    heads = [nn.Linear(b, 3, bias=False) for b in (4, 6)]
    net = IsolatedNetwork(modules, heads).double()
    x, y, weight = torch.randn(7, 5).double(), torch.arange(7) % 3, 2.5
    found = gradient(BPFreeSGR(weight), net, x, y)
    onehot = F.one_hot(y).double()
    with torch.no_grad():
        H1, W2, H2 = heads[0].weight, modules[1][0].weight, heads[1].weight
        u = modules[0](x)
        target = ((u @ H1.T).softmax(1) - onehot) @ H1
        out = (u @ W2.T).tanh()
        slope, bend = 1 - out**2, -2 * out * (1 - out**2)
        p = (out @ H2.T).softmax(1)
        error = p - onehot
        delta = error @ H2
        psi = slope * delta
        v = 2 * weight / 7 * (psi @ W2 - target)
        z_dot = v @ W2.T
        s_dot = (slope * z_dot) @ H2.T
        p_dot = p * (s_dot - (p * s_dot).sum(1, keepdim=True))
        psi_dot = bend * z_dot * delta + slope * (p_dot @ H2)
        W_slope = psi.T @ u / 7 + psi_dot.T @ u + psi.T @ v
        H_slope = error.T @ out / 7 + p_dot.T @ out + error.T @ (slope * z_dot)
    assert torch.allclose(found["local_modules.1.0.weight"], W_slope, atol=1e-13)
    assert torch.allclose(found["heads.1.weight"], H_slope, atol=1e-13)


class NoGraph(TorchFunctionMode):
    """Refuses every result that a backward pass could start from."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for part in tree_leaves(out):
            assert getattr(part, "grad_fn", None) is None, f"{function} built a graph"
        return out


def test_nothing_is_kept_for_a_backward_pass() -> None:
    net, (x, y) = convnet(), images()
    with NoGraph(), pytest.raises(AssertionError, match="built a graph"):
        SGR(2.0).gradients(net, x, y)
    net.zero_grad()
    with NoGraph():
        losses = BPFreeSGR(2.0).gradients(net, x, y)
    assert not losses.requires_grad
    assert all(p.grad is not None and p.grad.grad_fn is None for p in net.parameters())


def test_gradients_add_up_and_buffers_move_once() -> None:
    net, twin, (x, y) = convnet(), convnet(), images()
    once = gradient(BPFreeSGR(2.0), net, x, y)
    losses = BPFreeSGR(2.0).gradients(net, x, y)
    assert torch.allclose(losses, PlainLocal().gradients(twin, x, y))
    for mine, theirs in zip(net.buffers(), twin.buffers(), strict=True):
        assert torch.allclose(mine, theirs)
    BPFreeSGR(2.0).gradients(net, x, y)
    for name, p in net.named_parameters():
        assert torch.allclose(p.grad, 2 * once[name], rtol=1e-9)


def test_no_gradient_crosses_a_border() -> None:
    net, (x, y) = convnet(), images()
    before = gradient(BPFreeSGR(2.0), net, x, y)
    with torch.no_grad():
        for p in (*net.local_modules[3].parameters(), *net.heads[3].parameters()):
            p.mul_(-3).add_(0.5)
    after = gradient(BPFreeSGR(2.0), net, x, y)
    for key in before:
        later = key.startswith(("local_modules.3", "heads.3"))
        assert torch.equal(before[key], after[key]) != later


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_make_no_sense_are_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match="must be a number, zero or larger"):
        BPFreeSGR(weight)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), "module 1 does not have exactly"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU()), "no closed form for the layer GELU"),
        (nn.Conv2d(3, 4, 3, padding="same"), "no closed form for the layer Conv2d"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2)), "layer AdaptiveAvgPool2d"),
    ],
)
def test_networks_without_a_closed_form_are_refused(module: nn.Module, message: str) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4))
    net, (x, y) = IsolatedNetwork([module], [head]), images(torch.float32)
    with pytest.raises(ConfigError, match=message):
        BPFreeSGR().gradients(net, x, y)


def test_a_frozen_module_and_a_batch_of_one_are_refused() -> None:
    net, (x, y) = convnet(), images()
    with pytest.raises(ConfigError, match="batch of one sample"):
        BPFreeSGR().gradients(net, x[:1], y[:1])
    net.local_modules[1].requires_grad_(False)
    with pytest.raises(ConfigError, match="module 2 has no parameter"):
        BPFreeSGR().gradients(net, x, y)
