"""bfloat16, channels_last and compilation change how a step is computed, and nothing else."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local import (
    BP,
    SGR,
    BPFreeSGR,
    CheckpointedBP,
    Compute,
    ConvNet,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    IsolatedNetwork,
    PlainLocal,
    Rule,
)
from localbook.local.precision import autocast

CPU = torch.device("cpu")
RULES: dict[str, Rule] = {
    "bp": BP(),
    "checkpointed": CheckpointedBP(),
    "plain": PlainLocal(),
    "sgr": SGR(1.0),
    "sgr, forward over reverse": SGR(1.0, path="forward_over_reverse"),
    "bp-free sgr": BPFreeSGR(1.0),
    "feedback alignment": FeedbackAlignment(),
    "direct feedback": DirectFeedbackAlignment(),
}


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 3, 8, 8, generator=generator), torch.arange(16) % 4


def net() -> IsolatedNetwork:
    return ConvNet((8, 12), (1, 2)).build(3, 4, 0)


@dataclass(frozen=True)
class Step:
    slopes: list[Tensor]
    buffers: list[Tensor]


def step(rule: Rule, compute: Compute) -> Step:
    x, y = batch()
    trained = net().train()
    fast = compute.prepared(trained, rule, x)
    with compute.precision(x.device):
        rule.gradients(fast, compute.arranged(x), y)
    slopes = [p.grad for p in trained.parameters() if p.grad is not None]
    return Step(slopes, list(trained.buffers()))


def differ(a: Step, b: Step) -> float:
    """Return how far the gradients, and the buffers, of two steps are apart, for their length."""

    def apart(mine: list[Tensor], theirs: list[Tensor]) -> float:
        x, y = (torch.cat([t.flatten().float() for t in part]) for part in (mine, theirs))
        return float((x - y).norm() / y.norm())

    assert len(a.slopes) == len(b.slopes)
    return max(apart(a.slopes, b.slopes), apart(a.buffers, b.buffers))


@pytest.mark.parametrize("name", [name for name in RULES if name != "bp-free sgr"])
def test_bf16_gradients_are_those_of_float32_up_to_rounding(name: str) -> None:
    exact, mixed = step(RULES[name], Compute()), step(RULES[name], Compute(bf16=True))
    assert all(slope.dtype == torch.float32 for slope in mixed.slopes)
    assert 1e-4 < differ(mixed, exact) < 0.1


def test_closed_forms_are_for_float32() -> None:
    with pytest.raises(ConfigError, match="for float32; train it without bf16"):
        step(BPFreeSGR(1.0), Compute(bf16=True))


def test_checkpointing_repeats_a_module_in_its_own_precision() -> None:
    half = Compute(bf16=True)
    assert differ(step(CheckpointedBP(), half), step(BP(), half)) < 1e-6


@pytest.mark.parametrize("name", RULES)
def test_channels_last_changes_no_gradient(name: str) -> None:
    exact, arranged = step(RULES[name], Compute()), step(RULES[name], Compute(channels_last=True))
    assert differ(arranged, exact) < 1e-4


def test_channels_last_reaches_images_and_convolutions() -> None:
    x, _ = batch()
    compute, trained = Compute(channels_last=True), net()
    compute.prepared(trained, BP(), x)
    for tensor in (compute.arranged(x), trained.local_modules[1][0].weight):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


# torch's own: its tracer looks at the .grad of a tensor that is no leaf
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("name", ["bp", "plain", "sgr, forward over reverse"])
def test_compiled_steps_are_the_same_steps(name: str) -> None:
    torch._dynamo.reset()
    plain, compiled = step(RULES[name], Compute()), step(RULES[name], Compute(compile="aot_eager"))
    assert differ(compiled, plain) < 1e-5


def test_the_compiled_network_shares_everything_and_leaves_the_other_as_it_was() -> None:
    x, _ = batch()
    trained = net()
    fast = Compute(compile="aot_eager").prepared(trained, BP(), x)
    for mine, theirs in zip(fast.parameters(), trained.parameters(), strict=True):
        assert mine is theirs
    for mine, theirs in zip(fast.buffers(), trained.buffers(), strict=True):
        assert mine is theirs
    assert [type(m) for m in fast.local_modules] == [type(m) for m in trained.local_modules]
    copy.deepcopy(trained)


def test_double_backward_cannot_be_compiled() -> None:
    with pytest.raises(ConfigError, match=r"double backward; take .*forward_over_reverse"):
        Compute(compile="inductor").prepared(net(), SGR(1.0), batch()[0])


@pytest.mark.parametrize("rule", [BPFreeSGR(), FeedbackAlignment(), DirectFeedbackAlignment()])
def test_rules_by_hand_cannot_be_compiled(rule: Rule) -> None:
    with pytest.raises(ConfigError, match=r"by hand, .* train without compile"):
        Compute(compile="inductor").prepared(net(), rule, batch()[0])


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no backend 'fast'; choose from: .*inductor"):
        Compute(compile="fast").prepared(net(), BP(), batch()[0])


def test_channels_last_needs_images_and_convolutions() -> None:
    compute = Compute(channels_last=True)
    with pytest.raises(ConfigError, match=r"needs images \(N, C, H, W\), not .*\(16, 5\)"):
        compute.prepared(net(), BP(), torch.randn(16, 5))
    flat = IsolatedNetwork([nn.Flatten()], [nn.Linear(192, 4)])
    with pytest.raises(ConfigError, match="needs convolutions and this network has none"):
        compute.prepared(flat, BP(), batch()[0])


def test_bf16_needs_a_device_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="'meta' has no autocast; train in float32"):
        Compute(bf16=True).precision(torch.device("meta"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "T4")
    with pytest.raises(ConfigError, match="GPU T4 has no bfloat16; train in float32"):
        autocast(torch.device("cuda"), torch.bfloat16)
