import copy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from localbook.errors import ConfigError
from localbook.local import (
    BP,
    SGR,
    CheckpointedBP,
    ConvNet,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    SavedBytes,
    SavedTensors,
    add_heads,
    live_bytes,
    saved_bytes,
    saved_course,
    small_vit,
    split,
)

N, FLOAT = 6, 4


def images(count: int = N) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, 16, 16, generator=generator)
    return x, torch.randint(0, 10, (count,), generator=generator)


def convnet() -> IsolatedNetwork:
    return ConvNet((8,) * 6, (1,) * 6).build(3, 10, seed=0)


def tanh_chain() -> IsolatedNetwork:
    modules = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in ((5, 7), (7, 4), (4, 3))]
    return IsolatedNetwork(modules, [nn.Linear(7, 3), nn.Linear(4, 3), nn.Identity()])


def vector_batch() -> tuple[Tensor, Tensor]:
    return torch.randn(N, 5), torch.zeros(N, dtype=torch.int64)


def by_hand(*widths: int) -> int:
    return FLOAT * N * sum(widths)


LABELS = 8 * N
LOSS = by_hand(3) + LABELS + FLOAT  # log-softmax, labels, and the weight that they add up to


def test_bp_by_hand() -> None:
    found = saved_bytes(BP(), tanh_chain(), *vector_batch())
    # A linear layer saves its input, tanh its output: each storage once. Labels are shared.
    first, second, third = (
        by_hand(5, 7) + LOSS,
        by_hand(4) + LOSS - LABELS,
        by_hand(3) + LOSS - LABELS,
    )
    assert found == SavedBytes(first + second + third, (first, second, third))


def test_plain_local_by_hand() -> None:
    found = saved_bytes(PlainLocal(), tanh_chain(), *vector_batch())
    each = (by_hand(5, 7) + LOSS, by_hand(7, 4) + LOSS, by_hand(4, 3) + LOSS)
    assert found == SavedBytes(max(each), each)


def test_checkpointed_by_hand() -> None:
    found = saved_bytes(CheckpointedBP(), tanh_chain(), *vector_batch())
    # Two modules keep their inputs; the last computes once and is freed as it goes back; then
    # each of the others in turn holds its output beside what is kept.
    head = LOSS + by_hand(7)
    assert found.per_module[0] == by_hand(5) + max(head, by_hand(7))


def test_bp_holds_all_modules_and_local_learning_one() -> None:
    net, (x, y) = convnet(), images()
    bp, local, again = (
        saved_bytes(rule, net, x, y) for rule in (BP(), PlainLocal(), CheckpointedBP())
    )
    assert bp.peak > 3 * local.peak
    assert local.peak == max(local.per_module)
    assert local.peak < again.peak < bp.peak


def test_sgr_pays_for_one_module_at_a_time() -> None:
    net, (x, y) = convnet(), images()
    local = saved_bytes(PlainLocal(), net, x, y)
    sgr = saved_bytes(SGR(1.0), net, x, y)
    assert sgr.peak == max(sgr.per_module)
    assert sgr.per_module[0] == pytest.approx(local.per_module[0], rel=0.01)  # no penalty there
    assert all(a > 1.3 * b for a, b in zip(sgr.per_module[1:], local.per_module[1:], strict=True))
    # the penalty's price is paid only where λ is not 0
    one = saved_bytes(SGR((0.0, 0.0, 1.0, 0.0, 0.0, 0.0)), net, x, y)
    assert one.per_module[2] == sgr.per_module[2]
    assert one.per_module[3] == pytest.approx(local.per_module[3], rel=0.01)


@pytest.mark.parametrize("rule", [BP(), CheckpointedBP(), PlainLocal(), SGR(1.0)])
def test_bytes_grow_with_the_batch_and_not_with_the_parameters(rule: object) -> None:
    net, (x, y) = convnet(), images(12)
    half, whole = saved_bytes(rule, net, x[:6], y[:6]).peak, saved_bytes(rule, net, x, y).peak
    assert 1.9 < whole / half <= 2
    assert saved_bytes(rule, copy.deepcopy(net), x, y).peak == whole


@pytest.mark.parametrize("rule", [BP(), CheckpointedBP(), PlainLocal(), SGR(1.0)])
def test_measuring_changes_nothing(rule: object) -> None:
    net, (x, y) = convnet(), images()
    state, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    first = saved_bytes(rule, net, x, y)
    assert saved_bytes(rule, net, x, y) == first
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert not x.requires_grad


def test_modules_of_a_split_model() -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    parts = split(small_vit(width=24, depth=4, heads=2, seed=0), 4, x)
    net = add_heads(parts.modules, "class_token", x, torch.tensor([9]), seed=0)
    y = torch.tensor([0, 9])
    bp, local = saved_bytes(BP(), net, x, y), saved_bytes(PlainLocal(), net, x, y)
    assert local.peak < 0.4 * bp.peak  # four balanced modules


@pytest.mark.parametrize("rule", [BP(), CheckpointedBP(), PlainLocal(), SGR(1.0)])
def test_what_is_held_rises_to_the_peak_and_falls_to_nothing(rule: object) -> None:
    net, (x, y) = convnet(), images()
    course = saved_course(rule, net, x, y)
    assert course[0] == course[-1] == 0
    assert min(course) == 0
    assert max(course) == saved_bytes(rule, net, x, y).peak


def test_local_learning_holds_nothing_between_two_modules() -> None:
    net, (x, y) = convnet(), images()
    assert saved_course(PlainLocal(), net, x, y)[1:-1].count(0) >= len(net) - 1
    assert 0 not in saved_course(BP(), net, x, y)[1:-1]


def test_forward_over_reverse_cannot_be_measured_by_hooks() -> None:
    with pytest.raises(ConfigError, match=r"torch.func .* measure the double-backward path"):
        saved_bytes(SGR(1.0, derivative="forward_over_reverse"), convnet(), *images())


def test_other_errors_are_passed_on() -> None:
    @dataclass(frozen=True)
    class Broken(Rule):
        def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        saved_bytes(Broken(), convnet(), *images())


def half(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", amount=0.5)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "kind",
    [half, weight_norm, spectral_norm, parametrizations.weight_norm, parametrizations.orthogonal],
)
def test_networks_with_computed_weights_are_cut_measured_and_trained(kind: object) -> None:
    torch.manual_seed(0)
    x, y = images()
    first, second = kind(nn.Conv2d(3, 8, 3)), kind(nn.Conv2d(8, 8, 3))
    last = (nn.Tanh(), nn.Flatten(), nn.Linear(8 * 12 * 12, 10))
    model = nn.Sequential(first, nn.Tanh(), second, *last)
    net = add_heads(split(model, 2, x, at=["1"]).modules, "linear", x, y, seed=0)
    for derivative in ("double_backward", "forward_over_reverse"):
        rule = SGR(1.0, derivative=derivative)
        rule.gradients(net, x, y)
        assert live_bytes(rule, net, x, y) > 0
    assert all(p.grad is not None for p in net.parameters())
    plain = saved_bytes(PlainLocal(), net, x, y).per_module[1]
    assert 0 < plain < saved_bytes(SGR(1.0), net, x, y).per_module[1]


def test_what_was_saved_may_not_be_changed_in_place() -> None:
    w, h = torch.randn(4, 4, requires_grad=True), torch.randn(2, 4)
    with SavedTensors([]).hooks():
        out = h @ w
        h.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.sum().backward()


# The rule itself: BP with less memory and nothing else


def dropout_net() -> IsolatedNetwork:
    net = convnet()
    for module in net.local_modules:
        module.append(nn.Dropout(0.3))
    return net


def test_checkpointed_bp_is_bp() -> None:
    net, (x, y) = dropout_net(), images()
    twin = copy.deepcopy(net)
    torch.manual_seed(0)
    losses = BP().gradients(net, x, y)
    torch.manual_seed(0)
    assert torch.equal(CheckpointedBP().gradients(twin, x, y), losses)
    for mine, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-4, atol=1e-7)
    for mine, theirs in zip(net.buffers(), twin.buffers(), strict=True):
        assert torch.equal(mine, theirs)  # BatchNorm counts the batch once
    assert not x.requires_grad
