"""SGR's two derivatives, checkpointing and BP beside plain autograd, layer by layer, in float64."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations, prune, weight_norm

from localbook.local import BP, SGR, CheckpointedBP, IsolatedNetwork, Rule, small_vit

VECTOR, TOKENS, IMAGE, WIDE = (6,), (5, 6), (4, 6, 6), (3, 12, 12)
WEIGHT = 0.5  # λ


class Call(nn.Module):
    """A function as a layer."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(*self.layers, x)


class Affine(nn.Module):
    """Numbers that are trained, before the layer."""

    def __init__(self, shape):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.randn(shape))

    def forward(self, x):
        return torch.tanh(self.w * x + self.b) * 2


class Counts(nn.Module):
    """Changes a buffer that it reads."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.ones(()))
        self.register_buffer("mean", torch.zeros(VECTOR))

    def forward(self, x):
        self.calls += 1
        with torch.no_grad():
            self.mean.mul_(0.9).add_(x.mean(0))
        return x.sin() * self.calls * (1 + self.mean)


class NoGrad(nn.Module):
    """A part of its forward pass is not differentiated."""

    def forward(self, x):
        with torch.no_grad():
            scale = x.abs().amax(1, keepdim=True) + 1
        return (x / scale).sin() * x


class NormalisedPadding(nn.Module):
    def forward(self, x):
        return F.normalize(F.pad(x, (0, 0, 0, 1)), dim=-1)


class SharedKeys(nn.Module):
    def __init__(self):
        super().__init__()
        self.key = nn.Parameter(torch.randn(24, 6))

    def forward(self, x):
        return F.scaled_dot_product_attention(x, self.key, self.key.tanh())


def attention(x):
    return F.scaled_dot_product_attention(x, x.tanh(), x)


def attend(layer, x):
    return layer(x, x, x, need_weights=False)[0]


def recurrent(layer):
    return Call(lambda layer, x: layer(x)[0], layer)


def swapped(layer):
    return Call(lambda layer, x: layer(x.transpose(1, 2)).transpose(1, 2), layer)


def channels_last(layer):
    return Call(lambda layer, x: layer(x.contiguous(memory_format=torch.channels_last)), layer)


def encoder(**more):
    return nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, **more)


def pruned():
    layer = nn.Linear(6, 6)
    prune.l1_unstructured(layer, "weight", amount=0.5)
    return layer


def smooth_conv():
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Softplus())


ACTIVATIONS = {
    layer.__name__: (layer, VECTOR)
    for layer in (
        *(nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh),
        *(nn.Identity, nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.RReLU),
        *(nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh),
        nn.Tanhshrink,
    )
}
LAYERS = {
    **ACTIVATIONS,
    "GELU, tanh": (lambda: nn.GELU("tanh"), VECTOR),
    "Hardsigmoid in place": (lambda: nn.Hardsigmoid(inplace=True), VECTOR),
    "PReLU by channel": (lambda: nn.PReLU(4), IMAGE),
    "Threshold": (lambda: nn.Threshold(0.1, -1.0), VECTOR),
    "GLU": (nn.GLU, VECTOR),
    "Softmax": (lambda: nn.Softmax(1), VECTOR),
    "LogSoftmax": (lambda: nn.LogSoftmax(1), VECTOR),
    "Softmin": (lambda: nn.Softmin(1), VECTOR),
    "Linear": (lambda: nn.Linear(6, 5), VECTOR),
    "pruned": (pruned, VECTOR),
    "weight norm, old": (lambda: weight_norm(nn.Linear(6, 6)), VECTOR),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(6, 6)), VECTOR),
    "spectral norm, old": (lambda: nn.utils.spectral_norm(nn.Linear(6, 6)), VECTOR),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(6, 6)), VECTOR),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(6, 6)), VECTOR),
    "Bilinear": (lambda: Call(lambda layer, x: layer(x, x), nn.Bilinear(6, 6, 4)), VECTOR),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), VECTOR),
    "BatchNorm1d, eval": (lambda: nn.BatchNorm1d(6).eval(), VECTOR),
    "BatchNorm1d of tokens": (lambda: swapped(nn.BatchNorm1d(6)), TOKENS),
    "LayerNorm": (lambda: nn.LayerNorm(6), TOKENS),
    "LayerNorm without weights": (lambda: nn.LayerNorm(6, elementwise_affine=False), TOKENS),
    "LayerNorm, transposed": (lambda: swapped(nn.LayerNorm(5)), TOKENS),
    "RMSNorm": (lambda: nn.RMSNorm(6), TOKENS),
    "attention": (lambda: Call(attention), TOKENS),
    "attention without a batch": (lambda: Call(attention), VECTOR),
    "attention to shared keys": (SharedKeys, TOKENS),
    "causal attention": (
        lambda: Call(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)),
        TOKENS,
    ),
    "attention with dropout": (
        lambda: Call(lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.3)),
        TOKENS,
    ),
    "MultiheadAttention": (
        lambda: Call(attend, nn.MultiheadAttention(6, 2, batch_first=True)),
        TOKENS,
    ),
    "MultiheadAttention with dropout": (
        lambda: Call(attend, nn.MultiheadAttention(6, 2, dropout=0.3)),
        TOKENS,
    ),
    "TransformerEncoderLayer": (encoder, TOKENS),
    "TransformerEncoderLayer, GELU": (
        lambda: encoder(activation="gelu", norm_first=True, dropout=0.5),
        TOKENS,
    ),
    "small ViT": (lambda: small_vit(5, image=12, width=6, depth=1, heads=2, seed=0), WIDE),
    "RNN": (lambda: recurrent(nn.RNN(6, 4, batch_first=True)), TOKENS),
    "GRU": (lambda: recurrent(nn.GRU(6, 4, batch_first=True)), TOKENS),
    "LSTM": (lambda: recurrent(nn.LSTM(6, 4, batch_first=True)), TOKENS),
    "LSTM with dropout": (
        lambda: recurrent(nn.LSTM(6, 4, 2, batch_first=True, dropout=0.3)),
        TOKENS,
    ),
    "Dropout": (lambda: nn.Dropout(0.3), TOKENS),
    "Dropout, transposed": (lambda: swapped(nn.Dropout(0.3)), TOKENS),
    "Dropout, expanded": (
        lambda: Call(lambda x: F.dropout(x[:, :1].expand(-1, 5, -1), 0.3)),
        TOKENS,
    ),
    "Dropout, every other": (lambda: Call(lambda x: F.dropout(x[:, ::2], 0.3)), TOKENS),
    "Dropout in place": (lambda: swapped(nn.Dropout(0.3, inplace=True)), TOKENS),
    "Dropout of all": (lambda: nn.Dropout(1.0), VECTOR),
    "torch.dropout": (lambda: Call(lambda x: torch.dropout(x.mT, 0.3, True)), TOKENS),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.3), TOKENS),
    "AlphaDropout, transposed": (lambda: swapped(nn.AlphaDropout(0.3)), TOKENS),
    "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(0.3), IMAGE),
    "Dropout1d": (lambda: swapped(nn.Dropout1d(0.3)), TOKENS),
    "Dropout2d": (lambda: nn.Dropout2d(0.3), IMAGE),
    "RReLU, transposed": (lambda: swapped(nn.RReLU()), TOKENS),
    "noise": (lambda: Call(lambda x: x * torch.rand_like(x)), TOKENS),
    "noise, transposed": (lambda: Call(lambda x: x.mT * torch.randn_like(x.mT)), TOKENS),
    "channels last: Dropout": (lambda: channels_last(nn.Dropout(0.3)), IMAGE),
    "channels last: AlphaDropout": (lambda: channels_last(nn.AlphaDropout(0.3)), IMAGE),
    "channels last: Dropout2d": (lambda: channels_last(nn.Dropout2d(0.3)), IMAGE),
    "channels last: Conv2d": (lambda: channels_last(smooth_conv()), WIDE),
    "Conv1d": (lambda: swapped(nn.Conv1d(6, 4, 3)), TOKENS),
    "Conv2d": (smooth_conv, WIDE),
    "Conv2d in groups": (lambda: nn.Conv2d(4, 4, 3, groups=2, dilation=2), IMAGE),
    "Conv2d, reflected": (lambda: nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"), IMAGE),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 2, 2), IMAGE),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "BatchNorm2d without weights": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), IMAGE),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), IMAGE),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), IMAGE),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(4), IMAGE),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(4), IMAGE),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), IMAGE),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "Unfold": (lambda: nn.Unfold(3), IMAGE),
    "CosineSimilarity": (
        lambda: Call(lambda x: F.cosine_similarity(x, x.roll(1, 0))[:, None]),
        VECTOR,
    ),
    "normalize": (lambda: Call(F.normalize), VECTOR),
    "normalize, padded": (NormalisedPadding, TOKENS),
    "norm": (lambda: Call(lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True)), VECTOR),
    "einsum": (lambda: Call(lambda x: torch.einsum("nij,nkj->nik", x, x)), TOKENS),
    "no_grad": (NoGrad, VECTOR),
    "counting": (Counts, VECTOR),
}


FORMULAS = {  # where PyTorch has no second derivative, or one that contradicts its first
    nn.Hardsigmoid: lambda layer, x: F.relu6(x + 3) / 6,
    NormalisedPadding: lambda layer, x: F.pad(F.normalize(x, dim=-1), (0, 0, 0, 1)),
    nn.PReLU: lambda layer, x: torch.where(
        x > 0, x, layer.weight.view(-1, *[1] * (x.ndim - 2)) * x
    ),
}


def tolerance(name: str) -> float:
    return 1e-7 if "Hardsigmoid" in name else 1e-10  # whose kernel has a sixth in float32


def network(name: str) -> tuple[IsolatedNetwork, Tensor, Tensor]:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    modules = [Affine(shape), nn.Sequential(Affine(shape), make(), nn.Flatten())]
    x, y = torch.randn(6, *shape), torch.arange(6) % 3
    after = nn.Linear(modules[1](x).shape[1], 3)
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 3)), after]
    return IsolatedNetwork(modules, heads).double(), x.double(), y


def taken(net: IsolatedNetwork) -> Tensor:
    return torch.cat([p.grad.flatten() for p in net.local_modules[1].parameters()])


def by_rule(rule: Rule, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
    torch.manual_seed(1)
    rule.gradients(net, x, y)
    return taken(net)


def by_autograd(weight: float, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the second module's loss and penalty; at weight 0, that of BP."""
    for part in net.modules():
        part.forward = (
            partial(FORMULAS[type(part)], part) if type(part) in FORMULAS else part.forward
        )
    (first, second), heads = net.local_modules, net.heads
    between = first(x).detach().requires_grad_()
    (delta,) = grad(F.cross_entropy(heads[0](between), y, reduction="sum"), between)
    torch.manual_seed(1)
    with sdpa_kernel(SDPBackend.MATH):
        loss = F.cross_entropy(heads[1](second(between)), y, reduction="sum")
    total = loss / len(x)
    if weight:
        (gamma,) = grad(loss, between, create_graph=True)
        total = total + weight * (gamma - delta).square().sum() / len(x)
    total.backward()
    return taken(net)


DERIVATIVES = ("double_backward", "forward_over_reverse")


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_every_rule_agrees_with_plain_autograd(name):
    for weight, rules in {
        WEIGHT: [
            *(SGR(WEIGHT, "squared", derivative) for derivative in DERIVATIVES),
            SGR(WEIGHT, "squared", recompute=True),
        ],
        0.0: [BP(), CheckpointedBP()],
    }.items():
        expected = by_autograd(weight, *network(name))
        for rule in rules:
            error = (by_rule(rule, *network(name)) - expected).norm()
            assert error <= tolerance(name) * expected.norm(), rule


@pytest.mark.parametrize(
    ("name", "dtype"), [("LSTM", torch.float32), ("GRU", torch.float32), ("GLU", torch.bfloat16)]
)
@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_kernels_of_other_types_agree_too(name, dtype, derivative):
    """PyTorch differentiates neither its float32 LSTM nor its bfloat16 GLU by tangents on a CPU."""
    expected = by_autograd(WEIGHT, *network(name))
    net, x, y = network(name)
    found = by_rule(SGR(WEIGHT, "squared", derivative), net.to(dtype), x.to(dtype), y).double()
    assert (found - expected).norm() <= 4 * torch.finfo(dtype).eps * expected.norm()


def at_numbers(layer: nn.Module, values: Tensor) -> tuple[IsolatedNetwork, Tensor, Tensor]:
    """Return a network whose layer sees exactly these numbers."""
    torch.manual_seed(0)
    modules = [nn.Conv1d(1, 1, 1) for _ in range(2)]
    for module in modules:
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
    modules[1] = nn.Sequential(modules[1], layer, nn.Flatten())
    heads = [nn.Sequential(nn.Flatten(), nn.Linear(len(values), 3)), nn.Linear(len(values), 3)]
    x = values.expand(3, 1, -1).double()
    return IsolatedNetwork(modules, heads).double(), x, torch.arange(3)


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_exactly_at_their_kinks(name, derivative):
    values, layer = torch.arange(-6.0, 7.0) / 2, ACTIVATIONS[name][0]
    expected = by_autograd(WEIGHT, *at_numbers(layer(), values))
    found = by_rule(SGR(WEIGHT, "squared", derivative), *at_numbers(layer(), values))
    assert (found - expected).norm() <= tolerance(name) * expected.norm()


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_mish_is_the_identity_for_large_numbers(derivative):
    """Where PyTorch's own second derivative is NaN."""
    expected, found = (
        by_rule(SGR(WEIGHT, "squared", derivative), *at_numbers(layer, torch.arange(800.0, 806.0)))
        for layer in (nn.Identity(), nn.Mish())
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("distance", ["cosine", "relative"])
def test_distances_of_short_gradients(distance, derivative):
    """In float32, whose squares underflow; both distances ignore a common length."""

    def update(length: float) -> Tensor:
        net, x, y = network("Identity")
        for head in (net.heads[0][1], net.heads[1]):
            nn.init.normal_(head.weight, std=length, generator=torch.Generator().manual_seed(0))
            nn.init.zeros_(head.bias)
        rule = SGR(1.0, distance, derivative=derivative)
        return by_rule(rule, net.float(), x.float(), y)

    found, again = update(1e-22), update(1e-18)  # of the penalty alone: the loss is flat
    assert found.norm() > 1e-3
    torch.testing.assert_close(found, again)
