"""Local losses, alone and under SGR, against their definitions computed the long way."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local import (
    SGR,
    ConvNet,
    CrossEntropy,
    Greedy,
    InfoPro,
    IsolatedNetwork,
    LocalLoss,
    PlainLocal,
    PredSim,
    add_heads,
    equip,
    small_vit,
    split,
)
from localbook.local.rules.infopro import class_contrast
from tests.local.gradients import gradient

LOSSES: dict[str, LocalLoss] = {
    "predsim": PredSim(0.6),
    "infopro": InfoPro(0.7),
    "infopro contrast": InfoPro(0.7, contrast=True, temperature=0.5),
}
PATHS = ("double_backward", "forward_over_reverse")


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, 8, 8, generator=generator).to(dtype), torch.arange(6) % 3


def smooth(loss: LocalLoss) -> IsolatedNetwork:
    """Return a float64 net without kinks, two modules of images and one of features."""
    torch.manual_seed(0)
    modules = [
        nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.Softplus()),
        nn.Sequential(nn.Conv2d(6, 5, 3), nn.Tanh(), nn.Flatten()),
        nn.Sequential(nn.Linear(5, 4), nn.Tanh()),
    ]
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    net = IsolatedNetwork(modules, [pooled, nn.Linear(5, 3), nn.Linear(4, 3)]).double()
    net = equip(net, loss, batch()[0], seed=0)
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):  # of decoders and projections
                setattr(module, name, nn.Tanh())
    return net


def by_definition(
    loss: LocalLoss, head: nn.Module, out: Tensor, y: Tensor, image: Tensor, probe: bool = True
) -> Tensor:
    """Return N times a mean loss, pair by pair and sample by sample, with or without a probe's."""
    count = len(y)
    if not hasattr(head, "parts"):  # the last module
        return -sum(head(out).log_softmax(1)[i, y[i]] for i in range(count))
    probing = getattr(loss, "contrast", False)
    scores = head(out.detach() if probing else out)
    total = -sum(scores.log_softmax(1)[i, y[i]] for i in range(count))
    if probing and not probe:
        total = torch.zeros(())
    if isinstance(loss, PredSim):
        h = head.parts["similarity"](out)
        if h.ndim == 4:
            spread = [torch.stack([c.var() for c in one]) for one in h]
            h = torch.stack([(v + 1e-6 * v.mean()).sqrt() for v in spread])
        onehot = torch.eye(scores.shape[1], dtype=h.dtype)[y]

        def cosine(a: Tensor, b: Tensor) -> Tensor:
            small = 1e-12 * (a @ a), 1e-12 * (b @ b)
            a, b = a - a.mean(), b - b.mean()
            return a @ b / ((a @ a + small[0]) * (b @ b + small[1])).sqrt()

        pairs = [(i, j) for i in range(count) for j in range(count)]
        wrong = [(cosine(h[i], h[j]) - cosine(onehot[i], onehot[j])) ** 2 for i, j in pairs]
        return (1 - loss.share) * total + loss.share * sum(wrong) / count
    assert isinstance(loss, InfoPro)
    decoded = head.parts["decoder"](out)
    total = total + loss.weight * sum((decoded[i] - image[i]).square().mean() for i in range(count))
    if loss.contrast:
        z = head.parts["projection"](out)
        terms = []
        for i in range(count):
            others = [j for j in range(count) if j != i]
            scores = {j: z[i] @ z[j] / z[i].norm() / z[j].norm() / loss.temperature for j in others}
            norm = torch.stack([s.exp() for s in scores.values()]).sum().log()
            own = [norm - scores[j] for j in others if y[j] == y[i]]
            terms += [sum(own) / len(own)]
        total = total + count * sum(terms) / len(terms)
    return total


def objective(net: IsolatedNetwork, loss: LocalLoss, weight: float, number: int) -> Tensor:
    """Return what module ``number`` minimises under SGR, by the definition."""
    x, y = batch()
    image, target = x, None
    for depth, (module, head) in enumerate(net.pairs()):
        x = x.detach().requires_grad_()
        out = module(x)
        # The probe's loss moves with the module's weights, but its gradient stops before them.
        total = by_definition(loss, head, out, y, image, probe=False)
        gamma, delta = torch.autograd.grad(total, (x, out), retain_graph=True)
        if depth == number:
            break
        x, target = out, delta
    if target is None:
        return total / len(y)
    return total / len(y) + weight * (gamma - target).square().flatten(1).sum(1).mean()


@pytest.mark.parametrize("name", LOSSES)
def test_plain_local_learning_is_autograd_of_the_definition(name: str) -> None:
    loss, (x, y) = LOSSES[name], batch()
    net = smooth(loss)
    found = gradient(PlainLocal(loss), net, x, y)
    losses = PlainLocal(loss).gradients(copy.deepcopy(net), x, y)
    out = x
    for number, (module, head) in enumerate(net.pairs()):
        out = module(out.detach())
        value = by_definition(loss, head, out, y, x) / len(y)
        own = {
            f"{kind}.{number}.{part}": p
            for kind, of in (("local_modules", module), ("heads", head))
            for part, p in of.named_parameters()
        }
        expected = torch.autograd.grad(value, list(own.values()))
        assert losses[number].item() == pytest.approx(value.item(), rel=1e-12)
        for key, other in zip(own, expected, strict=True):
            assert torch.allclose(found[key], other, rtol=1e-9, atol=1e-12), key


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", LOSSES)
def test_sgr_on_any_loss_agrees_with_finite_differences(name: str, path: str) -> None:
    loss, (x, y) = LOSSES[name], batch()
    net, weight, step = smooth(loss), 0.7, 1e-5
    found = gradient(SGR(weight, "squared", path, loss), net, x, y)
    generator = torch.Generator().manual_seed(1)
    for number in range(len(net)):
        own = [
            key for key in found if key.startswith((f"local_modules.{number}.", f"heads.{number}."))
        ]
        own = [key for key in own if "contrast" not in name or "classifier" not in key]
        way = {
            key: torch.randn(found[key].shape, generator=generator, dtype=torch.float64)
            for key in own
        }
        values = []
        for sign in (1, -1):
            moved = copy.deepcopy(net)
            for key in own:
                moved.get_parameter(key).data.add_(sign * step * way[key])
            values.append(objective(moved, loss, weight, number).item())
        slope = sum((found[key] * way[key]).sum().item() for key in own)
        assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", LOSSES)
def test_the_two_paths_agree_and_the_penalty_counts(name: str) -> None:
    loss, (x, y) = LOSSES[name], batch()
    net = smooth(loss)
    one, other = (gradient(SGR(2.0, derivative=path, loss=loss), net, x, y) for path in PATHS)
    plain = gradient(PlainLocal(loss), net, x, y)
    assert one.keys() == other.keys() == plain.keys()
    for key in one:
        assert torch.allclose(one[key], other[key], rtol=1e-8, atol=1e-11), key
        unchanged = key.startswith(("local_modules.0", "heads.0")) or (
            "contrast" in name and "classifier" in key
        )
        assert torch.allclose(one[key], plain[key], rtol=1e-8, atol=1e-12) == unchanged, key


@pytest.mark.parametrize("rule", [PlainLocal, lambda loss: SGR(2.0, loss=loss)])
@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_crosses_a_border(name: str, rule: Callable[[LocalLoss], object]) -> None:
    loss, (x, y) = LOSSES[name], batch()
    net = smooth(loss)
    before = gradient(rule(loss), net, x, y)
    with torch.no_grad():
        for p in (*net.local_modules[2].parameters(), *net.heads[2].parameters()):
            p.mul_(-3).add_(0.5)
    after = gradient(rule(loss), net, x, y)
    for key in before:
        later = key.startswith(("local_modules.2", "heads.2"))
        assert torch.equal(before[key], after[key]) != later


def test_contrast_without_a_pair_is_zero() -> None:
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = class_contrast(z, torch.arange(3), 0.1)
    loss.backward()
    assert loss.item() == 0
    assert z.grad.abs().max() == 0


def test_equip_shares_the_network_and_leaves_the_last_head() -> None:
    net = ConvNet((4, 6), (1, 2)).build(3, 3, 0)
    state, (x, _) = torch.get_rng_state(), batch(torch.float32)
    one, same, other = (equip(net, InfoPro(contrast=True), x, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.local_modules[0] is net.local_modules[0]
    assert one.heads[0].classifier is net.heads[0]
    assert one.heads[1] is net.heads[1]
    assert torch.equal(one(x), net(x))
    weights = [made.heads[0].parts["decoder"][1].weight for made in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert equip(net, CrossEntropy(), x, seed=0).heads[0] is net.heads[0]


def test_predsim_on_tokens_under_sgr() -> None:
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    y = torch.arange(4)
    parts = split(small_vit(width=24, depth=2, heads=2, seed=0), 2, x)
    net = equip(add_heads(parts.modules, "class_token", x, y, seed=0), PredSim(), x, seed=0)
    one, other = (gradient(SGR(2.0, derivative=path, loss=PredSim()), net, x, y) for path in PATHS)
    for key in one:
        assert torch.allclose(one[key], other[key], rtol=1e-3, atol=1e-5), key


# Greedy


@pytest.mark.parametrize(
    ("progress", "active"), [(0.0, 0), (0.32, 0), (0.34, 1), (0.99, 2), (1, 2)]
)
def test_greedy_trains_one_module_on_frozen_ones(progress: float, active: int) -> None:
    loss, (x, y) = PredSim(0.6), batch()
    net = smooth(loss)
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    reference = copy.deepcopy(net).eval()
    own = (f"local_modules.{active}.", f"heads.{active}.")
    found = gradient(Greedy(0.0, loss).at(progress), net, x, y)
    assert set(found) == {key for key, _ in net.named_parameters() if key.startswith(own)}

    with torch.no_grad():
        inputs = nn.Sequential(*reference.local_modules[:active])(x)
    module, head = reference.local_modules[active].train(), reference.heads[active].train()
    value = by_definition(loss, head, module(inputs), y, x) / len(y)
    expected = torch.autograd.grad(value, [reference.get_parameter(key) for key in found])
    for key, other in zip(found, expected, strict=True):
        assert torch.allclose(found[key], other, rtol=1e-9, atol=1e-12)

    losses = Greedy(progress, loss).gradients(net, x, y)
    assert losses.shape == (3,)
    assert losses.isfinite().all()
    assert not losses.requires_grad
    assert net.training
    for name, buffer in net.named_buffers():  # running means move where training is, only
        assert torch.equal(buffer, buffers[name]) == (not name.startswith(own)), name


def test_greedy_stages_start_on_time() -> None:
    for modules in (1, 2, 7, 49):
        assert [Greedy(n / modules).stage(modules) for n in range(modules)] == list(range(modules))


# Bad input


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="must be between 0 and 1"):
        PredSim(share)


@pytest.mark.parametrize(
    "wrong", [{"weight": -1.0}, {"temperature": 0.0}, {"weight": float("nan")}]
)
def test_infopro_arguments_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be zero or larger and its temperature"):
        InfoPro(**wrong)


def test_progress_outside_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be from 0 to 1"):
        Greedy(0.0).at(1.5)


@pytest.mark.parametrize("loss", [PredSim(), InfoPro()])
def test_a_network_without_the_parts_is_refused(loss: LocalLoss) -> None:
    net, (x, y) = ConvNet((4, 4), (1, 1)).build(3, 3, 0), batch(torch.float32)
    with pytest.raises(
        ConfigError, match=r"needs heads with a part '.*'; build the network by equip"
    ):
        PlainLocal(loss).gradients(net, x, y)


def test_infopro_cannot_decode_tokens() -> None:
    with pytest.raises(ConfigError, match="take PredSim for tokens"):
        InfoPro().parts(torch.zeros(2, 5, 4), torch.zeros(2, 3, 8, 8))
