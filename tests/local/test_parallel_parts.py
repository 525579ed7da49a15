"""What module-parallel training is made of, without starting a process."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from localbook.errors import ConfigError
from localbook.local import (
    BP,
    SGR,
    BPFreeSGR,
    ConvNet,
    Greedy,
    InfoPro,
    IsolatedNetwork,
    PlainLocal,
    PredSim,
    Rule,
    Schedule,
    Signal,
    parallel,
    split,
)
from localbook.local.parallel import checkpoints as kept
from localbook.local.parallel.channel import fields, form_of, signal_of
from localbook.local.parallel.part import form_after, shape_after
from localbook.local.parallel.result import joint
from localbook.local.parallel.setup import check
from localbook.local.training import checkpoint

PLAIN = Schedule(epochs=1, batch_size=8, lr=0.1)


def net(modules: int = 2) -> IsolatedNetwork:
    return ConvNet((4,) * modules, (1,) * modules).build(3, 4, 0)


def test_a_seat_knows_its_neighbours() -> None:
    seats = [parallel.Seat.among(rank, 6, 3) for rank in range(6)]
    assert [seat.module for seat in seats] == [0, 0, 1, 1, 2, 2]
    assert [seat.replica for seat in seats] == [0, 1, 0, 1, 0, 1]
    assert [seat.before for seat in seats] == [None, None, 0, 1, 2, 3]
    assert [seat.after for seat in seats] == [2, 3, 4, 5, None, None]
    assert str(seats[3]) == "module 2, replica 2 (rank 3)"
    assert str(parallel.Seat(2, 3)) == "module 3 (rank 2)"


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_that_do_not_fit_the_modules_are_refused(processes: int) -> None:
    with pytest.raises(ConfigError, match=f"3 modules need 3 processes.* there are {processes}"):
        parallel.Seat.among(0, processes, 3)


def test_one_module_is_refused() -> None:
    with pytest.raises(ConfigError, match="one module has nothing to run in parallel"):
        parallel.launch(net(1), PlainLocal(), *2 * (None,), PLAIN, seed=0)  # type: ignore[arg-type]


def test_without_other_processes_or_torch_distributed_nothing_is_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ConfigError, match=r"no other processes.*torchrun --nproc-per-node=4"):
        parallel.joined(4).__enter__()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="4 modules need 4 processes"):
        parallel.joined(4).__enter__()
    monkeypatch.setattr(dist, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"without torch\.distributed"):
        parallel.joined(4).__enter__()
    with pytest.raises(ConfigError, match=r"without torch\.distributed"):
        parallel.launch(net(), PlainLocal(), *2 * (None,), PLAIN, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", [BP(), Greedy(0.0), SGR(modules_per_step=1)])
def test_a_rule_that_is_not_local_is_refused(rule: Rule) -> None:
    with pytest.raises(ConfigError, match=f"{type(rule).__name__} needs to see more than one"):
        check(net(), rule, PLAIN, 2, 1)


@pytest.mark.parametrize(
    ("changes", "modules", "replicas", "words"),
    [
        ({}, 3, 1, "the network has 2 modules but the processes joined for 3"),
        ({"ema": 0.9}, 2, 1, "no moving average"),
        ({}, 2, 3, "batch_size=8 cannot be shared evenly by 3 replicas"),
        ({}, 2, 8, "BatchNorm cannot be trained on a batch of one sample"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, float], modules: int, replicas: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        check(net(), PlainLocal(), replace(PLAIN, **changes), modules, replicas)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="queue=0 and replay=1 must be at least 1"):
        parallel.Options(queue=0)


def test_only_losses_that_look_at_the_image_have_it_sent() -> None:
    assert [PlainLocal(loss).uses_image for loss in (PredSim(), InfoPro())] == [False, True]
    assert not SGR().uses_image
    assert not BPFreeSGR().uses_image
    signal = Signal(torch.ones(2, 3), torch.zeros(2), torch.ones(2, 5), torch.ones(2, 3))
    message = fields(signal, image=False)
    assert list(message) == ["x", "y", "delta"]
    back = signal_of(message)
    assert back.image.shape == (2, 0)
    assert back.delta is not None
    assert list(fields(replace(signal, delta=None), image=True)) == ["x", "y", "image"]


@pytest.mark.parametrize("rule", [PlainLocal(), SGR(1.0)])
def test_the_form_of_messages_is_found_without_a_trace(rule: PlainLocal | SGR) -> None:
    part = net()
    x, y = torch.rand(8, 3, 6, 6), torch.zeros(8, dtype=torch.int64)
    before = {key: value.clone() for key, value in part.state_dict().items()}
    torch.manual_seed(0)
    alone = torch.rand(1)
    torch.manual_seed(0)
    first = IsolatedNetwork([part.local_modules[0]], [part.heads[0]])
    form = form_after(rule, first, (0, 2), form_of({"x": x, "y": y}))
    assert torch.equal(torch.rand(1), alone)
    expected = {"x": ((8, 4, 6, 6), torch.float32), "y": ((8,), torch.int64)}
    delta = {"delta": ((8, 4, 6, 6), torch.float32)} if isinstance(rule, SGR) else {}
    assert form == expected | delta
    assert shape_after(first, form_of({"x": x, "y": y})) == ((4, 6, 6), torch.float32)
    assert all(parameter.grad is None for parameter in part.parameters())
    assert all(torch.equal(value, before[key]) for key, value in part.state_dict().items())


def test_the_last_common_checkpoint_is_found_and_older_ones_go(tmp_path: Path) -> None:
    whole = net()
    assert kept.last_common(tmp_path, 2) == 0
    for epoch, module in ((1, 0), (2, 0), (1, 1), (3, 0), (2, 1)):
        part = IsolatedNetwork([whole.local_modules[module]], [whole.heads[module]])
        with torch.no_grad():
            next(part.parameters()).fill_(epoch)
        own = torch.optim.SGD(part.parameters(), 0.1)
        state = checkpoint.Run("a run", part, own, None).packed([])
        kept.keep(tmp_path, epoch, module, 2, state)
    (tmp_path / "epoch-0009-module-2.partial").write_bytes(b"")  # died while writing
    assert kept.last_common(tmp_path, 2) == 2
    found = sorted(path.name for path in tmp_path.glob("*.pt"))
    # module 1 wrote last when epoch 1 was the last common one
    assert found == [f"epoch-000{e}-module-{m}.pt" for e, m in ((1, 1), (2, 1), (2, 2), (3, 1))]
    other = net()
    assert kept.assemble(other, tmp_path) == 2
    assert all(bool((next(m.parameters()) == 2).all()) for m in other.local_modules)


def test_a_folder_without_a_whole_epoch_or_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no epoch of which all 2 modules left a checkpoint"):
        kept.assemble(net(), tmp_path)
    for module in range(2):
        kept.path(tmp_path, 1, module).write_bytes(b"rubbish")
    with pytest.raises(ConfigError, match="cannot be read, or is of another network"):
        kept.assemble(net(), tmp_path)


def test_who_died_first_is_blamed_by_all() -> None:
    store = dist.HashStore()
    second, third = (parallel.Team(parallel.Seat(rank, 3), store, None) for rank in (1, 2))
    assert second.blame(0) == "module 1 (rank 0)"
    assert third.blame(1) == "module 1 (rank 0)"
    assert "replica of module 2" in parallel.Team(
        parallel.Seat(1, 3), dist.HashStore(), None
    ).blame(None)


def test_staleness_counts_the_senders_updates() -> None:
    sender = parallel.Updates([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], [0, 1, 2, 3])
    receiver = parallel.Updates([0.5, 3.5, 9.0, 9.5], [0.6, 3.6, 9.1, 9.6], [0, 1, 2, 1])
    (found,) = parallel.Trained([], [sender, receiver]).staleness()
    assert found.tolist() == [0, 2, 2, 3]


def test_histories_are_joined_by_epoch() -> None:
    own = {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "begin": 10.0, "end": 12.0}
    (row,) = joint([[own], [own | {"loss": 2.0, "begin": 11.0, "end": 15.0}]], images=100)
    assert row == {
        "epoch": 1, "loss": [1.0, 2.0], "accuracy": [0.5, 0.5], "seconds": 4.0,
        "images_per_s": 25.0,
    }  # fmt: skip


def test_the_model_is_limited_by_what_is_slowest() -> None:
    ideal = parallel.Scaling(body=8.0, head=0.0, message=0.0, bandwidth=1.0)
    assert [ideal.speed_up(k) for k in (1, 2, 8)] == [1, 2, 8]
    assert ideal.speed_up(8, cores=2) == 2
    assert ideal.limit(8, cores=2) == "cores"
    # A head of the module's size halves the gain in work, not in speed-up: both pay for it.
    heads = replace(ideal, head=1.0)
    assert heads.one_process(8) == 16
    assert heads.step(8) == 2
    slow = replace(ideal, message=4.0)
    assert slow.limit(2) == "messages" or slow.step(2) == 4.0
    assert slow.step(64) == 4.0
    assert slow.limit(64) == "messages"
    assert slow.speed_up(64) == 2
    uneven = replace(ideal, imbalance=2.0)
    assert [uneven.speed_up(k) for k in (1, 8)] == [1, 4]
    assert uneven.limit(8) == "slowest module"
    assert ideal.filled(8, 93) == 0.93
    with pytest.raises(ConfigError, match="scaling model needs figures that are not negative"):
        replace(ideal, head=-1.0)


def test_handling_messages_costs_inner_modules_twice() -> None:
    model = parallel.Scaling(body=8.0, head=0.0, message=0.0, bandwidth=1.0, handling=1.0)
    assert [model.step(k) for k in (1, 2, 4)] == [8, 5, 4]
    assert model.parts(4, cores=2)["cores"] == (8 + 6) / 2


def test_a_model_can_be_cut_by_time() -> None:
    widths = (8, 8, 8, 3000, 3000)
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    model, x = nn.Sequential(*layers), torch.rand(4, 8)
    # The work is in the last layer; what layers save is of no account there.
    assert split(model, 2, x, by="time").cuts == ("2",)
    with pytest.raises(ConfigError, match="balanced by memory or time, not by 'weight'"):
        split(model, 2, x, by="weight")
