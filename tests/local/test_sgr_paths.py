import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from localbook.errors import ConfigError
from localbook.local import (
    SGR,
    ConvNet,
    IsolatedNetwork,
    PlainLocal,
    add_heads,
    cifar_resnet,
    small_vit,
    split,
    with_heads,
)
from localbook.local.rules.sgr.rule import squared_distance
from localbook.local.rules.sgr.step import cosine_distance, relative_distance
from localbook.local.training.compute import autocast
from tests.local.gradients import gradient

PATHS = ("double_backward", "forward_over_reverse")
DISTANCES = ("per_position", "squared", "relative", "cosine")
CPU = torch.device("cpu")


def batch(count: int = 6, side: int = 32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, side, side, generator=generator)
    return x, torch.randint(0, 10, (count,), generator=generator)


def isolated(model: nn.Module, head: str, channel_axis: int | None = None) -> IsolatedNetwork:
    x, _ = batch()
    parts = split(model, 3, x)
    return add_heads(parts.modules, head, x, torch.tensor([9]), seed=0, channel_axis=channel_axis)


def convnet() -> IsolatedNetwork:
    return ConvNet((8, 8, 8), (2, 2, 1)).build(3, 10, seed=0)


def vit() -> IsolatedNetwork:
    torch.manual_seed(0)
    model = VisionTransformer(32, 8, 3, 2, 24, 48, num_classes=10)
    nn.init.normal_(model.heads.head.weight, std=0.2)  # it starts at zero: no gradient at all
    return isolated(model, "attention")


def swin() -> IsolatedNetwork:
    torch.manual_seed(0)
    sizes = {"patch_size": [4, 4], "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4]}
    return isolated(SwinTransformer(**sizes, window_size=[4, 4], num_classes=10), "mlp", -1)


def smooth(dtype: torch.dtype = torch.float64) -> IsolatedNetwork:
    """Return a net with an attention block, BatchNorm and no kinks."""
    torch.manual_seed(0)
    modules = [
        nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.Softplus()),
        nn.Sequential(nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.Tanh(), nn.Flatten(2)),
        nn.TransformerEncoderLayer(25, 5, 16, 0.0, "gelu", batch_first=True),
    ]
    heads = [
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10)),
        nn.Sequential(nn.Flatten(), nn.Linear(150, 10)),
        nn.Sequential(nn.Flatten(), nn.Linear(150, 10)),
    ]
    return IsolatedNetwork(modules, heads).to(dtype)


NETS: dict[str, Callable[[], IsolatedNetwork]] = {
    "convnet": convnet,
    "resnet": lambda: isolated(cifar_resnet(20, seed=0), "conv"),
    "fixed heads": lambda: isolated(cifar_resnet(20, seed=0), "simplex_etf"),
    "small vit": lambda: isolated(small_vit(width=24, depth=3, heads=2, seed=0), "class_token"),
    "vit": vit,
    "swin": swin,
}


def flat(found: dict[str, Tensor]) -> Tensor:
    return torch.cat([value.double().flatten() for value in found.values()])


def module_of(name: str) -> int:
    return int(name.split(".")[1])


def relative_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    assert found.keys() == expected.keys()
    return ((flat(found) - flat(expected)).norm() / flat(expected).norm()).item()


def penalty_part(rule: SGR, net: IsolatedNetwork, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    with_it, without = gradient(rule, net, x, y), gradient(PlainLocal(), net, x, y)
    return {name: with_it[name] - without[name] for name in without}


# The two paths, each other's witnesses


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", NETS)
def test_paths_agree_in_float32(name: str, distance: str) -> None:
    net, (x, y) = NETS[name](), batch()
    one, other = (SGR(3.0, distance, path) for path in PATHS)
    assert relative_error(gradient(one, net, x, y), gradient(other, net, x, y)) < 1e-5
    # and it is not because the penalty does nothing
    assert flat(penalty_part(one, net, x, y)).norm() > 1e-3 * flat(gradient(one, net, x, y)).norm()


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("path", PATHS)
def test_float32_agrees_with_float64(path: str, distance: str) -> None:
    net, (x, y) = smooth(torch.float32), batch(side=16)
    rule = SGR(3.0, distance, path)
    exact = gradient(rule, copy.deepcopy(net).double(), x.double(), y)
    assert relative_error(gradient(rule, net, x, y), exact) < 1e-5


def objective(net: IsolatedNetwork, rule: SGR, x: Tensor, y: Tensor, number: int) -> Tensor:
    """Return what module ``number`` minimises, by the definition."""
    target = None
    for depth, (module, head) in enumerate(net.pairs()):
        x = x.detach().requires_grad_()
        out = module(x)
        losses = F.cross_entropy(head(out), y, reduction="none")
        (gamma,) = torch.autograd.grad(sum(losses), x, retain_graph=True)
        (delta,) = torch.autograd.grad(sum(losses), out, retain_graph=True)
        if depth == number:
            break
        target, x = delta, out
    if target is None:
        return losses.mean()
    g, t = gamma.flatten(1), target.flatten(1)
    positions = {2: 1, 3: x.shape[1], 4: x[0, 0].numel()}[x.ndim]
    squares = [(a - b).norm() ** 2 for a, b in zip(g, t, strict=True)]
    penalty = {
        "per_position": lambda: positions * sum(squares) / len(y),
        "squared": lambda: sum(squares) / len(y),
        "relative": lambda: ((g - t).norm() / t.norm()) ** 2,
        "cosine": lambda: (
            sum(1 - a @ b / (a.norm() * b.norm()) for a, b in zip(g, t, strict=True)) / len(y)
        ),
    }[rule.distance]()
    return losses.mean() + rule.weight * penalty


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("path", PATHS)
def test_gradients_agree_with_finite_differences(path: str, distance: str) -> None:
    net, (x, y) = smooth(), batch(side=16)
    x = x.double()
    rule = SGR(0.7, distance, path)
    found = gradient(rule, net, x, y)
    step, generator = 1e-5, torch.Generator().manual_seed(1)
    for number in range(len(net)):
        own = {
            f"{kind}.{number}.{name}": p
            for kind, part in (("local_modules", net.local_modules), ("heads", net.heads))
            for name, p in part[number].named_parameters()
        }
        way = {
            name: torch.randn(p.shape, generator=generator, dtype=p.dtype)
            for name, p in own.items()
        }
        values = []
        for sign in (1, -1):
            moved = copy.deepcopy(net)
            for name, p in moved.named_parameters():
                if name in way:
                    p.data.add_(sign * step * way[name])
            values.append(objective(moved, rule, x, y, number).item())
        slope = sum((found[name] * way[name]).sum().item() for name in own)
        assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6)


# What the penalty is


def test_distances_by_hand() -> None:
    a, b = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    g, t = a.flatten(1).numpy(), b.flatten(1).numpy()
    length = np.linalg.norm
    squared = np.mean([length(u - v) ** 2 for u, v in zip(g, t, strict=True)])
    cosine = np.mean([u @ v / length(u) / length(v) for u, v in zip(g, t, strict=True)])
    assert squared_distance(a, b).item() == pytest.approx(squared)
    assert relative_distance(a, b).item() == pytest.approx((length(g - t) / length(t)) ** 2)
    assert cosine_distance(a, b).item() == pytest.approx(1 - cosine)
    for distance in (squared_distance, relative_distance, cosine_distance):
        assert distance(b, b).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("tokens", [False, True])
def test_the_penalty_per_position_does_not_depend_on_the_resolution(tokens: bool) -> None:
    """Of an image of four times as many pixels, each as before, under 1 x 1 layers."""
    torch.manual_seed(0)
    part = (lambda a, b: nn.Linear(a, b)) if tokens else (lambda a, b: nn.Conv2d(a, b, 1))
    modules = [nn.Sequential(part(a, b), nn.Tanh()) for a, b in ((3, 4), (4, 5))]
    few = torch.randn(6, 3, 2, 2)
    many = few.repeat_interleave(2, 2).repeat_interleave(2, 3)
    few, many = ((v.flatten(2).transpose(1, 2) if tokens else v).double() for v in (few, many))
    net, y = IsolatedNetwork(modules, [nn.Identity(), nn.Identity()]).double(), torch.arange(6) % 3
    net = with_heads(net, "linear", few, seed=0, classes=3)
    for path in PATHS:
        found = [
            [flat(penalty_part(SGR(2.0, d, path), net, v, y)) for v in (few, many)]
            for d in ("per_position", "squared")
        ]
        torch.testing.assert_close(*found[0], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found[1][0], 4 * found[1][1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("path", PATHS)
def test_penalty_does_not_depend_on_the_batch_size(path: str, distance: str) -> None:
    net, (x, y) = smooth().eval(), batch(side=16)  # eval: BatchNorm does not couple the samples
    x, rule = x.double(), SGR(3.0, distance, path)
    once, twice = gradient(rule, net, x, y), gradient(rule, net, x.repeat(2, 1, 1, 1), y.repeat(2))
    assert relative_error(twice, once) < 1e-10


def test_zero_weight_is_plain_local_learning() -> None:
    net, (x, y) = convnet(), batch()
    assert relative_error(gradient(SGR(0.0), net, x, y), gradient(PlainLocal(), net, x, y)) < 1e-6


@pytest.mark.parametrize("path", PATHS)
def test_weights_per_module(path: str) -> None:
    net, (x, y) = convnet(), batch()
    found = penalty_part(SGR((7.0, 0.0, 5.0), derivative=path), net, x, y)
    all_fives = penalty_part(SGR(5.0, derivative=path), net, x, y)
    for name, value in found.items():
        if module_of(name) == 2:
            assert torch.allclose(value, all_fives[name], atol=1e-6)
        else:
            assert value.abs().max() < 1e-6


def test_schedule() -> None:
    rule = SGR(lambda progress: 10 * progress, "cosine")
    assert rule.at(0.5) == SGR(5.0, "cosine")
    assert SGR(2.0).at(0.5) == SGR(2.0)
    net, (x, y) = convnet(), batch()
    with pytest.raises(ConfigError, match=r"schedule; call .at\(progress\)"):
        rule.gradients(net, x, y)
    with pytest.raises(ConfigError, match="λ=-1"):
        SGR(lambda progress: -1.0).at(0.5)


# What it must not do


@pytest.mark.parametrize("path", PATHS)
def test_no_parameter_is_added_and_no_input_touched(path: str) -> None:
    net, (x, y) = convnet(), batch()
    before = dict(net.named_parameters())
    SGR(1.0, derivative=path).gradients(net, x, y)
    after = dict(net.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("path", PATHS)
def test_no_gradient_crosses_a_module_boundary(path: str) -> None:
    net, (x, y) = convnet(), batch()
    rule = SGR(5.0, derivative=path)
    found = gradient(rule, net, x, y)
    # what comes later does not matter: other weights, or another λ there
    other = copy.deepcopy(net)
    for part in (other.local_modules[2], other.heads[2]):
        for p in part.parameters():
            p.data.mul_(1.7)
    changed = gradient(rule, other, x, y)
    elsewhere = gradient(SGR((5.0, 5.0, 50.0), derivative=path), net, x, y)
    for name, value in found.items():
        same = module_of(name) < 2
        assert torch.equal(changed[name], value) == same
        assert torch.equal(elsewhere[name], value) == same


@pytest.mark.parametrize("path", PATHS)
def test_gradients_add_up(path: str) -> None:
    net, (x, y) = convnet().eval(), batch()
    rule = SGR(5.0, derivative=path)
    once = gradient(rule, net, x, y)
    rule.gradients(net, x, y)
    rule.gradients(net, x, y)
    for name, p in net.named_parameters():
        assert torch.allclose(p.grad, 2 * once[name], rtol=1e-5)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mixed", [False, True])
def test_buffers_are_updated_exactly_once(path: str, mixed: bool) -> None:
    net, (x, y) = convnet(), batch()
    twin = copy.deepcopy(net)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        losses = SGR(5.0, derivative=path).gradients(net, x, y)
        with torch.no_grad():
            scores = twin.all_scores(x)  # one forward pass in train mode
            expected = torch.stack([F.cross_entropy(score, y) for score in scores])
    assert torch.allclose(losses, expected, rtol=1e-6)
    for mine, theirs in zip(net.buffers(), twin.buffers(), strict=True):
        assert torch.equal(mine, theirs)
    assert net.local_modules[1][1].num_batches_tracked == 1


def test_dropout_masks_are_the_same_in_both_passes() -> None:
    net, (x, y) = convnet(), batch()
    for module in net.local_modules:
        module.append(nn.Dropout(0.5))
    states, found = [], []
    for path in PATHS:
        found.append(gradient(SGR(5.0, derivative=path), net, x, y))
        states.append(torch.get_rng_state())
    assert relative_error(*found) < 1e-5
    assert torch.equal(*states)


# Mixed precision


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["convnet", "small vit", "vit", "swin"])
def test_bf16_autocast(name: str, path: str) -> None:
    net, (x, y) = NETS[name](), batch(32)
    rule = SGR(3.0, derivative=path)
    exact = gradient(rule, net, x, y)
    with autocast(CPU, torch.bfloat16):
        found = gradient(rule, net, x, y)
    assert all(value.dtype == torch.float32 for value in found.values())
    assert relative_error(found, exact) < 0.1


def test_autocast_on_a_device_without_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="'meta' has no autocast; train in float32"):
        autocast(torch.device("meta"), torch.bfloat16)
    with pytest.raises(ConfigError, match="take torch"):
        autocast(CPU, torch.float16)


# Bad input


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), (1.0, -0.1, 1.0)])
def test_weights_that_make_no_sense_are_refused(weight: float | tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="must be a number, zero or larger"):
        SGR(weight)


def test_other_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="no distance 'l1'; choose from: per_position"):
        SGR(distance="l1")
    with pytest.raises(ConfigError, match="no derivative 'reverse'; choose from: double_backward"):
        SGR(derivative="reverse")
    with pytest.raises(ConfigError, match="2 SGR weights for 3 modules"):
        SGR((1.0, 1.0)).gradients(convnet(), *batch())


@pytest.mark.parametrize("path", PATHS)
def test_a_frozen_module_is_refused(path: str) -> None:
    net = convnet()
    net.local_modules[1].requires_grad_(False)
    with pytest.raises(ConfigError, match="module 2 has no parameter that requires grad"):
        SGR(1.0, derivative=path).gradients(net, *batch())


@pytest.mark.parametrize("path", PATHS)
def test_a_batch_of_one_under_batchnorm_is_refused(path: str) -> None:
    net, (x, y), rule = convnet(), batch(1), SGR(1.0, derivative=path)
    with pytest.raises(ConfigError, match="batch of one sample; give two or more"):
        rule.gradients(net, x, y)
    rule.gradients(net.eval(), x, y)  # without batch statistics one sample is enough
    rule.gradients(NETS["small vit"](), x, y)
