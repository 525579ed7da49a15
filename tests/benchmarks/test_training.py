import torch

from localbook.benchmarks import BENCHMARKS, Meter
from localbook.benchmarks.speed import PENALTIES, measure_reconcile, measure_train
from localbook.benchmarks.training import RULES, measure_memory, measure_time
from localbook.local import ConvNet


def tiny():
    net = ConvNet((4, 4, 4), (1, 1, 1)).build(3, 4, 0)
    return net, torch.randn(4, 3, 8, 8), torch.arange(4)


def small():
    return ConvNet((4, 4, 4), (2, 2, 1)).build(3, 10, 0), None, None


def test_every_rule_has_its_memory_beside_bps():
    rows = {row.what: row for row in measure_memory(Meter(), {"tiny": tiny})}
    assert len(rows) == 2 * len(RULES) - 1  # torch.func hides what is saved
    assert rows["saved, plain local"].value < rows["saved, SGR, double backward"].value
    assert rows["saved, SGR, double backward"].target is not None
    assert all(row.unit == "MiB" and row.baseline == "BP" for row in rows.values())


def test_every_rule_has_its_time_beside_bps():
    rows = list(measure_time(Meter(samples=3, most=0.01), {"tiny": tiny}))
    assert [row.what for row in rows] == list(RULES)
    assert all(row.value > 0 and row.baseline_value > 0 for row in rows)


def test_every_form_of_the_penalty_has_its_time_beside_plain_local_learning():
    rows = list(measure_reconcile(Meter(samples=3, most=0.01), tiny))
    assert [row.what for row in rows] == list(PENALTIES)
    assert all(row.value > 0 and row.baseline_value > 0 for row in rows)


def test_an_epoch_of_the_trainer_stands_beside_a_plain_loop(capsys):
    rows = list(measure_train(Meter(samples=1, most=0.01), small, images=64))
    assert [row.what for row in rows] == ["epoch, BP", "epoch, plain local", "epoch, SGR"]
    assert all(row.value > 0 and row.baseline == "a plain loop of BP" for row in rows)
    assert capsys.readouterr().err == ""


def test_they_have_names():
    assert {"memory", "reconcile", "step-time", "train"} <= set(BENCHMARKS)
