"""Rules beside the formulas of their authors' code, on the same tensors."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.errors import ConfigError
from localbook.local import (
    SGR,
    ConvNet,
    ForwardForward,
    InfoPro,
    IsolatedNetwork,
    PlainLocal,
    PredSim,
    dgl_head,
    equip,
    with_length_norm,
)


class As(nn.Module):
    """A module or head that gives what it is told to."""

    def __init__(self, out, **parts):
        super().__init__()
        self.out, self.parts = nn.Parameter(out), nn.ModuleDict(parts)

    def forward(self, x):
        return self.out


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def similarity_matrix(x):
    """Nøkland and Eidnes: channels by their deviation if there are more than three."""
    if x.ndim == 4:
        x = x.flatten(2).std(2) if x.shape[1] > 3 and x.shape[2] > 1 else x.flatten(1)
    x = x - x.mean(1, keepdim=True)
    x = x / (1e-30 + x.square().sum(1).sqrt())[:, None]  # theirs: 1e-8, which is not scale-free
    return x @ x.T


@pytest.mark.parametrize("shape", [(16, 8, 6, 6), (16, 3, 6, 6), (16, 8, 1, 1), (16, 20)])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_predsim_is_the_published_loss_at_every_scale(shape, scale, dtype):
    x = (scale * drawn(*shape).relu()).to(dtype)
    y = torch.arange(16) % 4
    head = As(drawn(16, 4).to(dtype), similarity=nn.Identity())
    wanted = F.one_hot(y, 4).to(dtype)
    mismatch = (similarity_matrix(x.double()) - similarity_matrix(wanted.double())).square().mean()
    expected = 0.01 * F.cross_entropy(head(x), y).double() + 0.99 * mismatch
    found = PredSim(0.99)(head, x, y, x).item() / 16
    assert found == pytest.approx(expected.item(), rel=1e-3 if dtype == torch.float32 else 1e-4)


@pytest.mark.parametrize("derivative", ["double_backward", "forward_over_reverse"])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0])
def test_predsim_of_dead_channels_has_a_second_derivative(derivative, scale):
    x, y = scale * drawn(6, 3, 8, 8).float(), torch.arange(6) % 3
    net = equip(ConvNet((4, 4, 4), (1, 1, 1)).build(3, 3, 0), PredSim(), x, seed=0)
    for module in net.local_modules:
        module[1] = nn.Identity()  # BatchNorm would revive them
        nn.init.zeros_(module[0].weight[0])
    SGR(1.0, derivative=derivative, loss=PredSim()).gradients(net, x, y)
    assert all(p.grad.isfinite().all() for p in net.parameters())


def contrast(z, y, temperature):
    """InfoPro after Khosla et al.: the mean over anchors of the mean over their positives."""
    z, terms = F.normalize(z, dim=1), []
    for i in range(len(y)):
        others = [j for j in range(len(y)) if j != i]
        log_sum = torch.stack([z[i] @ z[j] / temperature for j in others]).logsumexp(0)
        own = [log_sum - z[i] @ z[j] / temperature for j in others if y[j] == y[i]]
        terms += [torch.stack(own).mean()] if own else []
    return torch.stack(terms).mean()


@pytest.mark.parametrize("y", [[0, 1, 2, 0, 1, 2], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 2]])
def test_infopro_contrast_is_the_mean_over_anchors(y):
    z, image, y = drawn(6, 5), drawn(6, 3), torch.tensor(y)
    head = As(drawn(6, 3), decoder=nn.Linear(5, 3).double(), projection=nn.Identity())
    loss = InfoPro(0.7, contrast=True)(head, z, y, image) / 6
    decoded = (head.parts["decoder"](z) - image).square().mean()  # theirs: sigmoid, cross-entropy
    expected = 0.7 * decoded + F.cross_entropy(head(z), y) + contrast(z, y, 0.07)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)


def test_infopro_has_the_published_auxiliary_networks():
    parts = InfoPro(contrast=True).parts(torch.zeros(2, 16, 16, 16), torch.zeros(2, 3, 32, 32))
    size = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    assert size["projection"] == 16 * 32 * 9 + 2 * 32 + 33 * 128 + 129 * 128 == 25408
    # their first convolution has a bias as well, which the BatchNorm after it takes away again
    assert size["decoder"] == 16 * 12 * 9 + 2 * 12 + 12 * 3 * 9 + 3
    x = drawn(2, 16, 4, 4).float()
    corner = parts["decoder"][0](x)[:, :, 0, -1]
    assert torch.allclose(corner, x[:, :, 0, -1])  # align_corners


@pytest.mark.parametrize(("goodness", "size"), [("sum", 5 * 4 * 4), ("mean", 1)])
def test_forward_forward_weighs_the_sum_of_squares_against_the_width(goodness, size):
    out, y = drawn(9, 5, 4, 4), torch.arange(3)
    module, head = As(out), As(drawn(3, 3))
    net = IsolatedNetwork([module], [head])
    ForwardForward(3, goodness=goodness).gradients(net, drawn(3, 2, 4, 4), y)
    true, wrong, _ = out.clone().requires_grad_().chunk(3)
    logits = [size * (part.square().flatten(1).mean(1) - 1) for part in (true, wrong)]
    loss = (-F.logsigmoid(logits[0]) - F.logsigmoid(-logits[1])).mean()
    expected = torch.autograd.grad(loss, (true, wrong))
    assert torch.allclose(module.out.grad[:6], torch.cat(expected), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("scale", [1e-30, 1e-4, 1.0, 1e20])
def test_length_norm_leaves_the_direction_alone(scale):
    norm = with_length_norm(IsolatedNetwork([nn.Identity()] * 2, [nn.Identity()] * 2))
    x = drawn(4, 3, 5).float()
    found = norm.local_modules[1](scale * x)
    expected = x / x.square().flatten(1).mean(1).sqrt()[:, None, None]
    assert torch.allclose(found, expected, rtol=1e-4)
    assert torch.equal(norm.local_modules[1](0 * x), 0 * x)


def test_dgl_has_three_convolutions_and_three_hidden_layers():
    """Belilovsky et al., MLP-SR-aux: each without bias, with BatchNorm and ReLU."""
    c, wide = 8, 32
    norms = 3 * 2 * (c + wide)
    expected = 3 * c * c + 3 * wide * wide + norms + (wide + 1) * 10
    head = dgl_head(torch.zeros(2, c, 16, 16), 10, seed=0)
    assert sum(p.numel() for p in head.parameters()) == expected


def test_an_unknown_goodness_is_refused():
    with pytest.raises(ConfigError, match="a 'sum' or a 'mean', not 'max'"):
        ForwardForward(3, goodness="max")


@pytest.mark.parametrize("loss", [PredSim(0.5), InfoPro(), InfoPro(contrast=True)])
def test_small_images_are_taught_as_well(loss):
    x, y = drawn(6, 3, 2, 2).float(), torch.arange(6) % 3
    net = equip(ConvNet((4, 4), (2, 2)).build(3, 3, 0), loss, x, seed=0)
    rule = PlainLocal(loss)
    assert rule.gradients(copy.deepcopy(net), x, y).isfinite().all()
