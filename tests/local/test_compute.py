"""bfloat16, channels_last and compilation change how a step is computed, and nothing else."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

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
    InfoPro,
    IsolatedNetwork,
    LocalLoss,
    PlainLocal,
    PredSim,
    Rule,
    equip,
)
from localbook.local.rules.sgr.compiled import Compiler
from localbook.local.training.compute import autocast

CPU = torch.device("cpu")
RULES: dict[str, Rule] = {
    "bp": BP(),
    "checkpointed": CheckpointedBP(),
    "plain": PlainLocal(),
    "sgr": SGR(1.0),
    "sgr, forward over reverse": SGR(1.0, derivative="forward_over_reverse"),
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
    fast, rule = compute.prepared(trained, rule, x), compute.rule(rule)
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
@pytest.mark.parametrize("name", ["bp", "plain", "sgr", "sgr, forward over reverse"])
def test_compiled_steps_are_the_same_steps(name: str) -> None:
    torch.compiler.reset()
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


@dataclass
class Noting:
    """A backend that keeps what it is asked to compile, and runs it as it is."""

    graphs: int = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


def compiled_by(backend: Noting, rule: SGR) -> Rule:
    torch.compiler.reset()
    return replace(rule, compiler=Compiler(cast(str, backend)))


def test_sgr_compiles_once_for_each_module_and_not_again_for_another_weight() -> None:
    backend, (x, y), trained = Noting(), batch(), net()
    rule = compiled_by(backend, SGR(1.0))
    for weight in (1.0, 0.5, 0.25):
        replace(rule, weight=weight).gradients(trained, x, y)
    assert backend.graphs == len(trained)
    rule.gradients(trained, x[:8], y[:8])
    assert backend.graphs == 2 * len(trained)


@pytest.mark.parametrize("loss", [PredSim(), InfoPro(), InfoPro(contrast=True)], ids=repr)
def test_every_local_loss_compiles(loss: LocalLoss) -> None:
    x, y = batch()
    trained = [equip(net(), loss, x, seed=0).train() for _ in range(2)]
    for part, rule in zip(trained, (SGR(1.0, loss=loss), None), strict=True):
        (rule or compiled_by(Noting(), SGR(1.0, loss=loss))).gradients(part, x, y)
    for one, other in zip(*(part.parameters() for part in trained), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad)


def test_compiled_gradients_are_added_to_those_that_are_there() -> None:
    (x, y), trained = batch(), net()
    rule = compiled_by(Noting(), SGR(1.0))
    found = []
    for _ in range(2):
        rule.gradients(trained, x, y)
        found.append([p.grad.clone() for p in trained.parameters() if p.grad is not None])
    for one, both in zip(*found, strict=True):
        torch.testing.assert_close(both, 2 * one)


def test_a_compiled_step_follows_its_weights_and_leaves_fixed_ones_alone() -> None:
    x, y = batch()
    nets = [net(), net()]
    rules = [SGR(1.0), compiled_by(Noting(), SGR(1.0))]
    for trained, rule in zip(nets, rules, strict=True):
        next(trained.heads[0].parameters()).requires_grad_(False)
        descent = torch.optim.SGD(trained.parameters(), lr=0.1)
        for _ in range(3):
            descent.zero_grad()
            rule.gradients(trained, x, y)
            descent.step()
    for one, other in zip(
        nets[0].state_dict().values(), nets[1].state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other)
    assert next(nets[1].heads[0].parameters()).grad is None


@pytest.mark.parametrize("path", ["double_backward", "forward_over_reverse"])
def test_compiled_under_autocast_as_without_compiling(path: str) -> None:
    torch.compiler.reset()
    rule = SGR(1.0, derivative=path)
    plain, compiled = (
        step(rule, Compute(bf16=True, compile=backend)) for backend in ("", "aot_eager")
    )
    assert differ(compiled, plain) < 1e-5


def test_dropout_in_compiled_sgr_is_refused() -> None:
    x, y = batch()
    modules = [nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.Dropout(0.5)), nn.Linear(8, 8)]
    trained = IsolatedNetwork(modules, [nn.Linear(8, 4), nn.Linear(8, 4)])
    with pytest.raises(ConfigError, match=r"random numbers, .* train without compile"):
        compiled_by(Noting(), SGR(1.0)).gradients(trained, x, y)


def test_a_step_that_looks_at_values_cannot_be_compiled() -> None:
    def distance(gamma: Tensor, target: Tensor) -> Tensor:
        return (gamma - target).square().sum() / target.square().sum().item()

    with pytest.raises(ConfigError, match=r"written down .* train without compile"):
        compiled_by(Noting(), SGR(1.0, distance)).gradients(net(), *batch())


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
