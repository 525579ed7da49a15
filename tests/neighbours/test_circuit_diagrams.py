"""Circuit diagrams: each term is its torch module, to the digit, the operation and the byte."""

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision.models.resnet import Bottleneck

from localbook import local, plots
from localbook.circuits import COPY, SAME, Circuit, Wires, broadcast
from localbook.errors import ConfigError
from localbook.neighbours import circuit_diagrams as diagrams

F64 = torch.float64
FUSED = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


class UNetLevel(nn.Module):
    def __init__(self, c, d, e):
        super().__init__()
        self.enter, self.below, self.leave = (
            nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in ((c, d), (d, e), (2 * d, d))
        )
        self.up = nn.ConvTranspose2d(e, d, 2, 2, bias=False)

    def forward(self, x):
        skip = F.relu(self.enter(x))
        below = self.up(F.relu(self.below(F.max_pool2d(skip, 2))))
        return F.relu(self.leave(torch.cat([skip, below], dim=1)))


class Attention(nn.Module):
    """By torch's own layer, which takes axes apart otherwise."""

    def __init__(self, m, h, k):
        super().__init__()
        self.Q, self.K, self.V = (nn.Parameter(torch.randn(h, k, m) / m) for _ in "QKV")
        self.O = nn.Parameter(torch.randn(m, h, k))

    def forward(self, y, x):
        heads, width = len(self.Q), self.Q.shape[-1]
        y, x = (t.transpose(0, 1).contiguous() for t in (y, x))  # else each product copies it
        q, k, v = (w.flatten(0, 1) for w in (self.Q, self.K, self.V))
        out, _ = F.multi_head_attention_forward(
            y, x, x, width, heads, None, None, None, None, False, 0.0, self.O.flatten(1), None,
            use_separate_proj_weight=True, q_proj_weight=q, k_proj_weight=k, v_proj_weight=v,
        )  # fmt: skip
        return out.transpose(0, 1)


def perceptron(n, m, h, o):
    net = nn.Sequential(nn.Linear(m, h), nn.ReLU(), nn.Linear(h, o))
    return net, broadcast(diagrams.perceptron(), "n"), "n m", {"n": n, "m": m, "h": h, "o": o}


def attention(n, h, k, y, x):
    term = broadcast(diagrams.attention(), "n")
    sizes = {"n": n, "m": h * k, "h": h, "k": k, "y": 1 + y, "x": 1 + x}
    return Attention(h * k, h, k), term, "n y m, n x m", sizes


def convolution(n, c, d, i, j, stride, padding, dilation):
    window = (1 + stride % 3, padding % 3, 1 + dilation % 2)
    sizes = {"n": n, "c": c, "d": d, "i": 4 + i, "j": 4 + j, "r": 3, "s": 2}
    term = broadcast(diagrams.convolution(*window), "n")
    return nn.Conv2d(c, d, (3, 2), *window), term, "n c i j", sizes


def bottleneck(n, c, i, j):
    sizes = {"n": 1 + n, "e": 4 * c, "c": c, "i": 1 + i, "j": j, "r": 3, "s": 3, "u": 1, "v": 1}
    return Bottleneck(4 * c, c), diagrams.bottleneck(), "n e i j", sizes


def unet_level(n, c, d, e, i, j):
    sizes = {"n": n, "c": c, "d": d, "e": e, "i": 2 * i, "j": 2 * j, "r": 3, "s": 3}
    return UNetLevel(c, d, e), diagrams.unet_level(), "n c i j", sizes | {"u": 2, "v": 2}


def conv_net(n, a, b, i):
    net = local.ConvNet((a, b, b), (1, 2, 1)).build(in_channels=2, classes=2, seed=0)
    sizes = {"n": 1 + n, "c": 2, "d": a, "e": b, "f": b, "i": 3 + i, "j": 4, "r": 3, "s": 3}
    term = diagrams.conv_net("cdef", (1, 2, 1))
    return nn.Sequential(*net.local_modules), term, "n c i j", sizes


def residual_network(n):
    net = nn.Sequential(*list(local.cifar_resnet(8, seed=0))[:-3])
    sizes = {"n": n, "c": 3, "d": 16, "e": 32, "f": 64, "i": 8, "j": 8, "r": 3, "s": 3}
    return net, diagrams.residual_network(1), "n c i j", sizes


NETS = [perceptron, attention, convolution, bottleneck, unet_level, conv_net, residual_network]


def measured(module, x):
    """Return output, gradients, multiply-adds of both passes, and kept bytes, by torch."""
    x = [t.clone().requires_grad_() for t in x]
    ledger = local.SavedTensors([*module.parameters(), *module.buffers()])
    with FlopCounterMode(display=False) as forward, ledger.hooks():
        y = module(*x)
    kept, delta = ledger.course[-1], torch.randn_like(y)
    with FlopCounterMode(display=False) as backward:
        grads = torch.autograd.grad(y, [*module.parameters(), *x], delta)
    counts = [counter.get_total_flops() // 2 for counter in (forward, backward)]
    return y.detach(), delta, grads, counts, kept


@pytest.mark.parametrize("net", NETS)
def test_a_term_is_its_module_in_value_gradient_operations_and_bytes(net):
    rng = random.Random(0)
    for seed in range(20 if net is not residual_network else 2):
        torch.manual_seed(seed)
        numbers = [rng.randint(1, 6) for _ in range(net.__code__.co_argcount)]
        module, term, inputs, sizes = net(*numbers)
        module, circuit = module.to(F64), Circuit.of(term, inputs, sizes)
        x = [torch.randn([sizes[a] for a in w.axes], dtype=F64) for w in circuit.levels[0]]
        y, delta, grads, counts, kept = measured(module, x)
        weights = module.state_dict()
        (ours,) = circuit(weights, *x)
        assert torch.allclose(ours, y, rtol=1e-12, atol=1e-12)
        by_weight, by_input = circuit.gradient(weights, x, [delta])
        for name, theirs in zip(dict(module.named_parameters()), grads, strict=False):
            scale = 1e-12 * (1 + theirs.abs().max())
            assert (by_weight[name].reshape(theirs.shape) - theirs).abs().max() <= scale
        for mine, theirs in zip(by_input, grads[-len(x) :], strict=True):
            assert (mine - theirs).abs().max() <= 1e-12 * (1 + theirs.abs().max())
        both = [circuit.multiply_adds(), circuit.multiply_adds(backward=True, inputs=True)]
        assert both == counts
        assert circuit.kept_bytes(8, inputs=True) == kept


def block(fused):
    torch.manual_seed(0)
    module = local.small_vit(image=16, patch=4, width=24, depth=1, heads=3, seed=0)[1].to(F64)
    sizes = {"n": 2, "t": 17, "m": 24, "f": 96, "h": 3, "k": 8}
    circuit = Circuit.of(broadcast(diagrams.transformer_block(), "n"), "n t m", sizes)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION if fused else SDPBackend.MATH):
        x = torch.randn(2, 17, 24, dtype=F64)
        return module, circuit, x, measured(module, [x])


def weights_of(module):
    """Return a transformer block's arrays by the names of the term."""
    state = dict(module.state_dict())
    for kind, name in (("weight", str.upper), ("bias", str.lower)):
        parts = [*state[f"qkv.{kind}"].chunk(3), state[f"project.{kind}"]]
        state |= {name(letter): part for letter, part in zip("qkvo", parts, strict=True)}
    return state


def test_a_transformer_block_is_its_module_where_its_attention_is_not_fused():
    module, circuit, x, (y, delta, grads, counts, kept) = block(fused=False)
    weights = weights_of(module)
    assert torch.allclose(circuit(weights, x)[0], y, rtol=1e-12, atol=1e-12)
    by_weight, (by_input,) = circuit.gradient(weights, [x], [delta])
    assert torch.allclose(by_input, grads[-1], rtol=1e-11, atol=1e-11)
    named = dict(zip(dict(module.named_parameters()), grads, strict=False))
    assert torch.allclose(by_weight["mlp.0.weight"], named["mlp.0.weight"], rtol=1e-11)
    qkv = torch.cat([by_weight[name].reshape(-1, 24) for name in "QKV"])
    assert torch.allclose(qkv, named["qkv.weight"], rtol=1e-11, atol=1e-11)
    assert [circuit.multiply_adds(), circuit.multiply_adds(backward=True, inputs=True)] == counts
    assert circuit.kept_bytes(8, inputs=True) == kept


@pytest.mark.skipif(FUSED not in flop_registry, reason="this torch does not count it")
def test_fused_attention_keeps_the_softmax_no_more_and_computes_it_again():
    _, circuit, _, (*_, counts, kept) = block(fused=True)
    scores, sums = 2 * 3 * 17 * 17, 2 * 3 * 17
    assert circuit.kept_bytes(8, inputs=True) - kept == 8 * (scores - sums)
    again = counts[1] - circuit.multiply_adds(backward=True, inputs=True)
    assert (counts[0], again) == (circuit.multiply_adds(), scores * 8)


@pytest.mark.parametrize("net", [conv_net, residual_network])
def test_a_gradient_may_be_cut_where_the_picture_is_one_wire_wide(net):
    module, term, inputs, sizes = net(*[4] * net.__code__.co_argcount)
    circuit = Circuit.of(term, inputs, sizes)
    x = torch.randn([sizes[axis] for axis in circuit.levels[0][0].axes])
    assert len(circuit.places()) == len(local.cut_points(module, x))


# Lengths of which none protects: tokens, their numbers, and heads times head size are all 16.
LENGTHS = {"n": 2, "x": 16, "m": 16, "h": 4, "k": 4}


def self_attention(**changes):
    return broadcast(COPY >> diagrams.attention(**changes), "n")


def drawing(circuit):
    return plots.svg(plots.circuits({"": plots.CircuitPanel(circuit)}), "one of many circuits")


def test_mutants_of_equal_shapes_compute_something_else_and_look_different():
    term = {"": self_attention()} | {k: self_attention(**v) for k, v in diagrams.MUTANTS.items()}
    circuits = {k: Circuit.of(t, "n x m", LENGTHS) for k, t in term.items()}
    torch.manual_seed(0)
    weights = {n: torch.randn(256, dtype=F64) for n in "QKVO"}
    x = torch.randn(2, 16, 16, dtype=F64)
    out = {k: circuit(weights, x)[0] for k, circuit in circuits.items()}
    for name in diagrams.MUTANTS:
        assert out[name].shape == out[""].shape
        assert (out[name] - out[""]).abs().max() > 0.1 * out[""].abs().max()
    assert len({drawing(circuit) for circuit in circuits.values()}) == 8


def test_labels_refuse_what_lengths_let_pass():
    wrong = diagrams.beside(
        COPY >> diagrams.attention(**diagrams.MUTANTS["broadcast over m"]), SAME, "x m"
    )
    with pytest.raises(ConfigError, match="meets the axes"):
        Circuit.of(wrong, "x m", LENGTHS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"stride": 4}, {"stride": 4, "padding": 1}),
        ({"padding": 1}, {"padding": 2, "dilation": 2}),
    ],
)
def test_windows_that_lead_to_equal_shapes_are_drawn_differently(one, other):
    both = [
        Circuit.of(diagrams.convolution(**w), "c i j", dict.fromkeys("cdij", 7) | {"r": 3, "s": 3})
        for w in (one, other)
    ]
    assert both[0].levels[-1][0].axes == both[1].levels[-1][0].axes
    assert drawing(both[0]) != drawing(both[1])


def test_wires_that_cross_are_drawn_crossing():
    swapped = [Circuit.of(Wires(p), "x m, x m", LENGTHS) for p in ((0, 1), (1, 0))]
    assert drawing(swapped[0]) != drawing(swapped[1])


def test_a_part_that_attention_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="attention has no"):
        diagrams.attention(query=SAME)
