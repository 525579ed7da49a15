from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from localbook.data import ImageSet
from localbook.data.batches import Augment, DeviceImages
from localbook.errors import ConfigError, TrainingError
from localbook.local import BP, SGR, ConvNet, IsolatedNetwork, PlainLocal, Schedule, train

SCHEDULE = Schedule(epochs=4, batch_size=16, lr=0.1, augment=Augment(crop=1, flip=True))
MODEL = ConvNet((4, 6), (1, 2))


def images(n=64, classes=4):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    pixels = rng.integers(0, 60, (n, 3, 8, 8)) + 45 * labels[:, None, None, None]
    return DeviceImages(
        ImageSet(pixels.astype(np.uint8), labels, tuple("abcdefgh"[:classes]), "made up")
    )


def without_times(history):
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in history
    ]


@pytest.mark.parametrize("rule", [BP(), PlainLocal(), SGR(weight=1.0)])
def test_every_rule_learns(rule):
    data = images()
    longer = replace(SCHEDULE, epochs=12)
    history = train(MODEL.build(3, 4, 0), rule, data, data, longer, seed=0)
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert history[-1]["loss"][-1] < history[0]["loss"][-1]
    assert history[-1]["accuracy"][-1] > 0.6


@pytest.mark.parametrize("stop_after", [1, 3])
def test_an_interrupted_run_continues_to_the_same_numbers(tmp_path, stop_after):
    data, rule = images(), SGR(weight=1.0)
    whole_net = MODEL.build(3, 4, 0)
    whole = train(whole_net, rule, data, data, SCHEDULE, seed=5)

    def interrupt(row):
        if row["epoch"] == stop_after:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        train(
            MODEL.build(3, 4, 0), rule, data, data, SCHEDULE,
            seed=5, checkpoint=checkpoint, on_epoch=interrupt,
        )  # fmt: skip
    torch.rand(100)  # the global random state must not matter
    net = MODEL.build(3, 4, seed=99)  # nor what the network was before
    resumed = train(net, rule, data, data, SCHEDULE, seed=5, checkpoint=checkpoint)
    assert without_times(resumed) == without_times(whole)
    for name, value in whole_net.state_dict().items():
        assert torch.equal(value, net.state_dict()[name]), name


def test_dropout_is_the_same_after_an_interruption(tmp_path):
    def net():
        built = MODEL.build(3, 4, 0)
        built.local_modules[0].append(nn.Dropout(0.5))
        return built

    data, short = images(), replace(SCHEDULE, epochs=2)
    whole = train(net(), PlainLocal(), data, data, short, seed=5)

    def interrupt(row):
        raise KeyboardInterrupt

    options = {"seed": 5, "checkpoint": tmp_path / "run.pt"}
    with pytest.raises(KeyboardInterrupt):
        train(net(), PlainLocal(), data, data, short, **options, on_epoch=interrupt)
    torch.rand(100)
    resumed = train(net(), PlainLocal(), data, data, short, **options)
    assert without_times(resumed) == without_times(whole)


def test_a_schedule_is_asked_each_epoch(tmp_path):
    asked = []

    def weight(progress):
        asked.append(progress)
        return 1.0 - progress

    data = images()
    options = {"seed": 0, "checkpoint": tmp_path / "run.pt"}
    train(MODEL.build(3, 4, 0), SGR(weight=weight), data, data, SCHEDULE, **options)
    assert asked == [0, 0.25, 0.5, 0.75]
    constant = train(MODEL.build(3, 4, 0), SGR(weight=1.0), data, data, SCHEDULE, seed=0)
    scheduled = train(MODEL.build(3, 4, 0), SGR(weight=weight), data, data, SCHEDULE, **options)
    assert without_times(scheduled)[0] == without_times(constant)[0]
    assert without_times(scheduled)[1] != without_times(constant)[1]


def test_a_finished_run_is_not_repeated(tmp_path):
    data, checkpoint = images(), tmp_path / "run.pt"
    first = train(MODEL.build(3, 4, 0), BP(), data, data, SCHEDULE, seed=0, checkpoint=checkpoint)
    again = train(MODEL.build(3, 4, 0), BP(), data, data, SCHEDULE, seed=0, checkpoint=checkpoint)
    assert again == first


def test_the_seed_decides_the_batches():
    data = images()
    runs = [
        train(MODEL.build(3, 4, 0), BP(), data, data, SCHEDULE, seed=seed) for seed in (0, 0, 1)
    ]
    assert without_times(runs[0]) == without_times(runs[1])
    assert without_times(runs[0]) != without_times(runs[2])


def test_a_foreign_checkpoint_is_refused(tmp_path):
    data, checkpoint = images(), tmp_path / "run.pt"
    train(MODEL.build(3, 4, 0), BP(), data, data, SCHEDULE, seed=0, checkpoint=checkpoint)
    with pytest.raises(ConfigError, match="belongs to another run"):
        train(MODEL.build(3, 4, 0), BP(), data, data, SCHEDULE, seed=1, checkpoint=checkpoint)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    data, checkpoint = images(), tmp_path / "run.pt"
    checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="cannot be read"):
        train(MODEL.build(3, 4, 0), BP(), data, data, SCHEDULE, seed=0, checkpoint=checkpoint)


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path):
    class Explodes(nn.Module):
        """Turns to NaN in its third epoch of four batches."""

        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += self.training
            return x * (float("nan") if self.calls > 8 else 1.0)

    net = MODEL.build(3, 4, 0)
    net.local_modules[1].insert(0, Explodes())
    data, checkpoint = images(), tmp_path / "run.pt"
    with pytest.raises(TrainingError, match=r"module 2 is not a number in epoch 3"):
        train(net, PlainLocal(), data, data, SCHEDULE, seed=0, checkpoint=checkpoint)
    kept = torch.load(checkpoint, weights_only=True)
    assert len(kept["history"]) == 2
    assert all(torch.isfinite(v).all() for v in kept["net"].values())


def test_heads_must_have_enough_classes():
    data = images(classes=4)
    with pytest.raises(ConfigError, match="head 1 has 3 classes but the labels need 4"):
        train(MODEL.build(3, 3, 0), BP(), data, data, SCHEDULE, seed=0)


def test_nan_becomes_none_in_the_history():
    data = images()
    row = train(MODEL.build(3, 4, 0), BP(), data, data, SCHEDULE, seed=0)[0]
    assert row["discord"][0] is None
    assert isinstance(row["discord"][1], float)


def test_the_learning_rate_rises_and_falls_to_zero():
    schedule = Schedule(epochs=1, batch_size=1, lr=1.0, warmup=0.25)
    factors = [schedule.factor(step, 100) for step in range(100)]
    assert factors[24] == pytest.approx(1)
    assert factors == sorted(factors[:25]) + sorted(factors[25:], reverse=True)
    assert factors[0] == pytest.approx(0.04)
    assert factors[-1] < 0.001


def test_one_module_alone_can_be_trained():
    data = images()
    net = IsolatedNetwork([nn.Flatten()], [nn.Linear(192, 4)])
    history = train(net, PlainLocal(), data, data, SCHEDULE, seed=0)
    assert history[-1]["discord"] == [None]


def test_each_epoch_says_how_aligned_the_modules_are_with_the_last_loss():
    data = images()
    history = train(MODEL.build(3, 4, 0), PlainLocal(), data, data, SCHEDULE, seed=0)
    for row in history:
        first, last = row["alignment"]
        assert last == pytest.approx(1, abs=1e-5)  # the last module's own loss is the last loss
        assert -1 <= first < 0.999
