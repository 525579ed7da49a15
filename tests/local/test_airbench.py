import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.errors import ConfigError
from localbook.local import BP, SGR, PlainLocal, airbench, cut_points, isolated_airbench


def images(n=40, side=32):
    noise = torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    # neighbours and colours must depend on each other, or there is nothing to whiten
    return F.avg_pool2d(noise, 3, 1, padding=1) + 0.5 * noise.mean(1, keepdim=True)


def patches(x):
    """Every 2 x 2 patch as a row, by numpy."""
    windows = np.lib.stride_tricks.sliding_window_view(x.numpy(), (2, 2), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 12).astype(float)


def test_patches_come_out_uncorrelated_and_of_equal_variance():
    x = images()
    whiten = airbench(images=x, width=2, seed=0).whiten
    out = whiten(x).detach().movedim(1, 3).reshape(-1, 24).double()
    second = (out.T @ out / len(out)).numpy()
    shrunk = np.linalg.eigvalsh(patches(x).T @ patches(x) / len(patches(x)))[::-1]
    expected = np.diag(shrunk / (shrunk + 5e-4))
    assert np.allclose(second[:12, :12], expected, atol=1e-4)
    assert np.allclose(second[12:, 12:], expected, atol=1e-4)
    assert torch.equal(whiten.weight[12:], -whiten.weight[:12])


def test_whitening_weights_and_norm_weights_are_frozen_but_not_their_biases():
    model = airbench(images=images(), width=2, seed=0)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    norms = {f"group{g}.norm{n}.weight" for g in (1, 2, 3) for n in (1, 2)}
    assert frozen == {"whiten.weight"} | norms
    assert torch.equal(model.whiten.bias, torch.zeros(24))


def test_convolutions_hand_on_their_first_channels():
    convolution = airbench(images=images(), width=8, seed=0).group2.conv1
    x = torch.randn(2, 8, 5, 5)
    out = convolution(x)
    assert convolution.out_channels == 32
    assert torch.allclose(out[:, :8], x, atol=1e-6)
    assert not torch.allclose(out[:, 8:16], x, atol=0.1)


def test_the_network_is_the_papers_at_full_width():
    model = airbench(images=images(), seed=0)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == sum(
        [24, 9 * 24 * 64, 9 * 64 * 64, 9 * 64 * 256, 3 * 9 * 256 * 256, 10 * 256, 2 * 64 + 4 * 256]
    )
    x, sides = images(2), []
    for part in model[:5]:
        x = part(x)
        sides.append(x.shape[2])
    assert sides == [31, 31, 15, 7, 3]
    # the paper pools 3 x 3 pixels; at its size this is the largest of all
    linear = model.classifier[2]
    assert torch.allclose(model.classifier(x), linear(F.max_pool2d(x, 3).flatten(1)) / 9)


def test_the_three_modules_compute_what_the_network_computes():
    x = images(4)
    model, net = (make(images=x, width=4, seed=3).eval() for make in (airbench, isolated_airbench))
    assert {"group1", "group2"} <= set(cut_points(model, x))
    assert len(net) == 3
    assert torch.allclose(net(x), model(x), atol=1e-6)
    assert [tuple(scores.shape) for scores in net.all_scores(x)] == [(4, 10)] * 3


@pytest.mark.parametrize("path", ["double_backward", "forward_over_reverse"])
def test_every_rule_gives_gradients_and_sgr_agrees_with_finite_differences(path):
    x, y = images(6), torch.arange(6)
    net = isolated_airbench(images=x, width=2, seed=0).double()
    x = x.double()
    for rule in (BP(), PlainLocal(), SGR(0.1, "squared", path)):
        net.zero_grad()
        rule.gradients(net, x, y)
        for name, parameter in net.named_parameters():
            assert (parameter.grad is not None) == parameter.requires_grad, name

    module, head = net.local_modules[1], net.heads[1]
    first = net.local_modules[0](x).detach().requires_grad_()
    (target,) = torch.autograd.grad(F.cross_entropy(net.heads[0](first), y, reduction="sum"), first)

    def objective():
        loss = F.cross_entropy(head(module(first)), y, reduction="sum")
        (gamma,) = torch.autograd.grad(loss, first)
        return ((loss + 0.1 * (gamma - target).square().sum()) / len(x)).item()

    bias, step = (
        dict(module.named_parameters())["group2.norm2.bias"],
        1e-6,
    )  # after it all is smooth
    for index in range(3):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                bias[index] += sign * step
            values.append(objective())
            with torch.no_grad():
                bias[index] -= sign * step
        assert bias.grad is not None
        found = float(bias.grad[index])
        assert found == pytest.approx((values[0] - values[1]) / (2 * step), abs=1e-6)


def test_the_seed_decides_and_the_global_state_stays():
    state = torch.get_rng_state()
    one, again, other = (isolated_airbench(images=images(4), width=2, seed=s) for s in (0, 0, 1))
    weights = [nn.utils.parameters_to_vector(net.parameters()) for net in (one, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("shape", [(4, 1, 32, 32), (4, 3, 8, 8), (4, 3, 32)])
def test_images_it_cannot_take_are_refused(shape):
    with pytest.raises(ConfigError, match="colour images"):
        airbench(images=torch.zeros(shape), seed=0)
