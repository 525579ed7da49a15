import copy

import pytest
import torch
from torch import Tensor, nn

from localbook.errors import ConfigError
from localbook.local import (
    BP,
    SGR,
    Compute,
    ConvNet,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    account,
    live_bytes,
    saved_bytes,
    with_dgl_heads,
)

FLOAT = 4


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, 16, 16, generator=generator), torch.arange(8)


def net() -> IsolatedNetwork:
    return ConvNet((8,) * 6, (1,) * 6).build(3, 10, seed=0)


def test_live_bytes_by_hand() -> None:
    class Doubles(Rule):
        """Makes two tensors that live together, drops one, and makes a smaller one."""

        def gradients(self, net: IsolatedNetwork, x: Tensor, y: Tensor) -> Tensor:
            first = x * 2
            both = first + 1
            del first
            view = both.flatten(1)[:, :3]  # no storage of its own
            return view[:1].sum(0) + 0.0

    x, y = batch()
    assert live_bytes(Doubles(), net(), x, y) == 2 * x.numel() * FLOAT


def test_live_bytes_hold_what_is_saved_and_gradients() -> None:
    x, y = batch()
    whole, local = (live_bytes(rule, net(), x, y) for rule in (BP(), PlainLocal()))
    assert whole > saved_bytes(BP(), net(), x, y).peak
    assert local < 0.5 * whole
    assert live_bytes(SGR(1.0, derivative="forward_over_reverse"), net(), x, y) > local


def test_live_bytes_of_a_linear_classifier_hold_its_gradient() -> None:
    x, y = batch()
    linear = IsolatedNetwork([nn.Flatten()], [nn.Linear(768, 10, bias=False)])
    found = live_bytes(BP(), linear, x, y)
    gradient = 7680 * FLOAT
    assert gradient < found < gradient + 3000  # scores and losses of eight images beside it


def test_measuring_changes_nothing() -> None:
    measured, (x, y) = net(), batch()
    state, random = copy.deepcopy(measured.state_dict()), torch.get_rng_state()
    account(measured, {"plain": PlainLocal()}, x, y, repeats=1)
    assert all(torch.equal(v, state[k]) for k, v in measured.state_dict().items())
    assert all(p.grad is None for p in measured.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_every_rule_stands_beside_bp_and_checkpointing() -> None:
    x, y = batch()
    rules = {
        "plain": PlainLocal(),
        "dgl": PlainLocal(),
        "sgr": SGR(1.0),
        "sgr, forward over reverse": SGR(1.0, derivative="forward_over_reverse"),
    }
    nets = {"dgl": with_dgl_heads(net(), x, seed=0)}
    found = account(net(), rules, x, y, nets=nets, repeats=3)
    assert [a.name for a in found] == ["bp", "checkpointed", *rules]
    rows = {a.name: a.row(found[0]) for a in found}
    assert rows["bp"]["saved"] == rows["bp"]["live"] == rows["bp"]["time"] == 1
    assert rows["plain"]["saved_bytes"] == saved_bytes(PlainLocal(), net(), x, y).peak
    assert rows["plain"]["saved_bytes"] == max(rows["plain"]["saved_by_module"])
    assert rows["dgl"]["saved_bytes"] > rows["plain"]["saved_bytes"]  # its heads convolve
    assert rows["plain"]["live"] < rows["checkpointed"]["live"] < 1
    assert rows["sgr, forward over reverse"]["saved_bytes"] is None
    assert rows["sgr, forward over reverse"]["live_bytes"] > 0
    for row, taken in zip(rows.values(), found, strict=True):
        assert len(taken.seconds) == 3
        assert row["step_s_min"] <= row["step_s"] <= row["step_s_max"]
        assert row["images_per_s"] == pytest.approx(8 / row["step_s"])
        assert row["cuda_peak"] is None


def test_bf16_holds_less() -> None:
    x, y = batch()
    single, half = (
        account(net(), {}, x, y, repeats=1, compute=compute)[0]
        for compute in (Compute(), Compute(bf16=True))
    )
    assert half.saved is not None
    assert single.saved is not None
    assert half.saved.peak < 0.7 * single.saved.peak


def test_bad_input_is_refused() -> None:
    x, y = batch()
    with pytest.raises(ConfigError, match="NaN or infinite"):
        account(net(), {}, x * float("nan"), y)
    with pytest.raises(ConfigError, match="repeats=0 must be at least 1"):
        account(net(), {}, x, y, repeats=0)
    with pytest.raises(ConfigError, match=r"channels_last needs images"):
        account(net(), {}, x.flatten(1), y, compute=Compute(channels_last=True))
