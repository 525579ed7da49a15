import numpy as np
import pytest
import torch

from localbook.benchmarks import BENCHMARKS, Benchmark, Meter, caption, run
from localbook.benchmarks.harness.gpu import RUN_THERE, DeviceClock
from localbook.benchmarks.training.paper_scale import Network, Scale, measure_paper_scale
from localbook.benchmarks.training.penalties import PENALTIES, measure_reconcile
from localbook.benchmarks.training.steps import (
    RECOMPUTED,
    RULES,
    Case,
    measure_memory,
    measure_time,
)
from localbook.benchmarks.training.whole import Size, by_hand, measure_train
from localbook.data import DeviceImages, ImageSet
from localbook.errors import ConfigError
from localbook.local import BP, SGR, ConvNet, cifar_resnet


def tiny():
    cuts = {
        rule.shares(4): ConvNet((width, 4, 4), (1, 1, 1)).build(3, 4, 0)
        for width, rule in ((4, BP()), (8, SGR()), (12, SGR(recompute=True)))
    }
    return Case(cuts, torch.randn(4, 3, 8, 8), torch.arange(4))


def test_every_rule_has_its_memory_beside_bps():
    rows = {row.what: row for row in measure_memory(Meter(), {"tiny": tiny})}
    assert len(rows) == 2 * len(RULES) - 1 + 2  # torch.func hides what is saved
    assert rows["saved, plain local"].value < rows["saved, SGR, double backward"].value
    assert rows["saved, SGR, double backward"].target is not None
    assert all(row.unit == "MiB" for row in rows.values())
    beside = {row.baseline for what, row in rows.items() if "checkpointing" in what}
    assert beside == {"checkpointed BP"}
    for count in ("saved", "alive"):
        beside_bp, beside_it = (
            rows[f"{count}, SGR, double backward{end}"] for end in ("", ", over checkpointing")
        )
        assert beside_it.value == beside_bp.value
        assert beside_it.baseline_value == rows[f"{count}, checkpointed BP"].value


def test_each_rule_has_the_cuts_that_suit_it():
    case = tiny()
    width = {name: case.net(rule).local_modules[0][0].out_channels for name, rule in RULES.items()}
    assert all((width[name] == 8) == ("SGR" in name) for name in RULES)
    assert case.net(SGR(recompute=True)).local_modules[0][0].out_channels == 12


def test_every_rule_has_its_time_beside_bps():
    rows = list(measure_time(Meter(samples=3, most=0.01), {"tiny": tiny}))
    names = [row.what for row in rows]
    assert names[: len(RULES) + 1] == [*RULES, RECOMPUTED]
    limited = ["SGR, double backward", "SGR, one module a step", RECOMPUTED]
    assert names[len(RULES) + 1 :] == [f"{name}, over checkpointing" for name in limited]
    assert all(row.value > 0 and row.baseline_value > 0 for row in rows)


def test_bytes_at_a_larger_scale_are_those_of_the_rules():
    model = {"small": Network(lambda side: cifar_resnet(8, 1000, seed=0))}
    rows = {row.what: row for row in measure_paper_scale(Meter(), model, Scale(32, 64, (3,)))}
    assert rows["weights"].value == rows["momentum of SGD"].value > 0
    found = [row for row in rows.values() if row.what.startswith("alive")]
    assert {row.baseline for row in found} == {"BP", "checkpointed BP"}
    assert all(0 < row.value < 2 * row.baseline_value for row in found)


def test_every_form_of_the_penalty_has_its_time_beside_plain_local_learning():
    rows = list(measure_reconcile(Meter(samples=3, most=0.01), {"tiny": tiny}, "aot_eager"))
    compiled = [
        f"squared, {path}, compiled" for path in ("double backward", "forward over reverse")
    ]
    assert [row.what for row in rows] == [*PENALTIES, *compiled]
    assert all(row.value > 0 and row.baseline_value > 0 for row in rows)


def test_a_training_stands_beside_a_loop_by_hand(capsys):
    rows = list(measure_train(Meter(samples=1, most=0.01), Size(images=256, width=2)))
    assert [row.what.split(", ")[1] for row in rows] == ["BP", "plain local", "SGR", "SGR"]
    assert all(row.value > 0 and row.baseline == "a loop by hand of BP" for row in rows)
    assert all(row.words() == "\u2264 2 \u00d7 baseline" for row in rows)
    assert capsys.readouterr().err == ""


def test_the_loop_by_hand_learns():
    rng = np.random.default_rng(0)
    labels = np.arange(512) % 10
    pixels = rng.integers(0, 60, (512, 3, 32, 32)) + 20 * labels[:, None, None, None]
    data = DeviceImages(
        ImageSet(pixels.astype(np.uint8), labels, tuple("0123456789"), "grey levels")
    )
    model = by_hand(data, width=4).eval()
    x, y = data.at(slice(None))
    with torch.no_grad():
        assert (model(x).argmax(1) == y).float().mean() > 0.2


def test_they_have_names():
    assert {"memory", "reconcile", "step-time", "train"} <= set(BENCHMARKS)


@pytest.mark.parametrize("name", RUN_THERE)
def test_a_gpu_that_is_not_there_is_asked_for_in_one_sentence(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch finds none; leave it out"):
        run(name, gpu=True)


def test_geometry_has_no_gpu_part():
    with pytest.raises(ConfigError, match=r"memory, .*, train do\. Leave out"):
        run("zonotope", gpu=True)


class Event:
    """Stands for a GPU's event: its time is known only once it is waited for."""

    now = 0.0

    def record(self):
        Event.now += 250.0  # milliseconds
        self.at, self.ready = Event.now, False

    def synchronize(self):
        self.ready = True

    def elapsed_time(self, later):
        assert later.ready
        return later.at - self.at


def test_a_gpus_clock_counts_seconds_between_events_it_waited_for():
    clock = DeviceClock(Event)
    assert [clock(), clock()] == [0.25, 0.5]


def test_a_record_made_on_a_gpu_says_so():
    found = Benchmark(
        "memory-gpu", 0.01, [], {"device": "cuda", "cpu": "X", "gpu": "Y"}, {"numpy": "2"}, None,
        False, "2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    assert "Recorded on Y, its own clock" in caption(found)
    assert caption(found).endswith("localbook bench memory --gpu")


def test_where_nothing_was_timed_nothing_is_said_of_clocks_and_quiet():
    hardware = {"device": "cpu", "cpu": "X"}
    date = "2026-01-01T00:00:00+00:00"
    counted = Benchmark("memory", 0.0, [], hardware, {"numpy": "2"}, None, False, date)
    assert caption(counted).startswith("Recorded on X; numpy 2;")
