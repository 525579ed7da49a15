import numpy as np
import torch

from localbook.benchmarks import BENCHMARKS, Meter
from localbook.benchmarks.fast import Size, by_hand, measure_train
from localbook.benchmarks.speed import PENALTIES, measure_reconcile
from localbook.benchmarks.training import RULES, measure_memory, measure_time
from localbook.data import ImageSet
from localbook.data.batches import DeviceImages
from localbook.local import ConvNet


def tiny():
    net = ConvNet((4, 4, 4), (1, 1, 1)).build(3, 4, 0)
    return net, torch.randn(4, 3, 8, 8), torch.arange(4)


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
