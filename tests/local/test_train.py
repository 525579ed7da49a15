import copy
import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from localbook.data import Augment, DeviceImages, ImageSet
from localbook.errors import ConfigError, TrainingError
from localbook.local import (
    BP,
    SGR,
    Compute,
    ConvNet,
    IsolatedNetwork,
    PlainLocal,
    Schedule,
    figures,
    train,
)

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


def test_a_compiled_training_is_the_same_training():
    torch.compiler.reset()
    data, rule = images(32), SGR(weight=lambda progress: 1.0 + progress)
    short = replace(SCHEDULE, epochs=2)
    plain, compiled = (
        without_times(train(MODEL.build(3, 4, 0), rule, data, data, short, seed=0, compute=compute))
        for compute in (Compute(), Compute(compile="aot_eager"))
    )
    assert compiled == plain


@pytest.mark.parametrize("stop_after", [1, 3])
def test_an_interrupted_run_continues_to_the_same_numbers(tmp_path, stop_after):
    data, rule = images(), SGR(weight=1.0)
    whole_net = MODEL.build(3, 4, 0)
    whole = train(whole_net, rule, data, data, SCHEDULE, seed=5)

    def interrupt(row, net):
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

    def interrupt(row, net):
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
    after = []
    with pytest.raises(
        TrainingError,
        match=r"module 2 is not a number in epoch 3; lower the learning rate or λ. The network is "
        r"back in its state after epoch 2, and the checkpoint holds the same",
    ):
        train(
            net, PlainLocal(), data, data, SCHEDULE, seed=0, checkpoint=checkpoint,
            on_epoch=lambda row, net: after.append(copy.deepcopy(net.state_dict())),
        )  # fmt: skip
    kept = torch.load(checkpoint, weights_only=True)
    assert len(kept["history"]) == 2
    for name, value in net.state_dict().items():
        assert torch.equal(value, kept["net"][name]), name
        assert torch.equal(value, after[1][name]), name
        assert torch.isfinite(value).all()


def test_weights_broken_by_an_epochs_last_step_are_not_kept():
    class Poisons(PlainLocal):
        """Gives the second module an infinite gradient at the last step of the second epoch."""

        steps = 0

        def gradients(self, net, x, y):
            losses = super().gradients(net, x, y)
            Poisons.steps += 1
            if Poisons.steps == 8:
                net.local_modules[1][0].weight.grad.fill_(float("inf"))
            return losses

    net, data, after = MODEL.build(3, 4, 0), images(), []
    with pytest.raises(
        TrainingError,
        match=r"a weight of module 2 is not a number in epoch 2; .* state after epoch 1\.$",
    ):
        train(
            net, Poisons(), data, data, SCHEDULE, seed=0,
            on_epoch=lambda row, net: after.append(copy.deepcopy(net.state_dict())),
        )  # fmt: skip
    assert len(after) == 1
    for name, value in net.state_dict().items():
        assert torch.equal(value, after[0][name]), name


RICH = replace(
    SCHEDULE, optimiser="adamw", lr=0.01, clip=0.5, label_smoothing=0.1, mixup=0.4, ema=0.8
)
HALF = Compute(bf16=True, channels_last=True)


@pytest.mark.parametrize("compute", [Compute(), HALF])
def test_everything_at_once_continues_to_the_same_bits(tmp_path, compute):
    data, rule = images(), SGR(weight=0.1)
    whole_net = MODEL.build(3, 4, 0)
    whole = train(whole_net, rule, data, data, RICH, seed=5, compute=compute)

    def interrupt(row, net):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    options = {"seed": 5, "checkpoint": tmp_path / "run.pt", "compute": compute}
    with pytest.raises(KeyboardInterrupt):
        train(MODEL.build(3, 4, 0), rule, data, data, RICH, **options, on_epoch=interrupt)
    for _ in range(2):  # continued, and then found finished
        net = MODEL.build(3, 4, seed=99)
        assert without_times(train(net, rule, data, data, RICH, **options)) == without_times(whole)
        for name, value in whole_net.state_dict().items():
            assert torch.equal(value, net.state_dict()[name]), name


def test_the_average_is_measured_and_left_in_the_network():
    class Watches(BP):
        """Keeps the weights at the start of every step."""

        seen: ClassVar = []

        def gradients(self, net, x, y):
            self.seen.append(net.local_modules[0][0].weight.detach().clone())
            return super().gradients(net, x, y)

    data, net = images(), MODEL.build(3, 4, 0)
    schedule = replace(SCHEDULE, epochs=2, ema=0.75)
    history = train(net, Watches(), data, data, schedule, seed=0)
    after = Watches.seen[1:]  # the weights after every step but the last
    mean = after[0]
    for weight in after[1:]:
        mean = 0.75 * mean + 0.25 * weight
    raw = MODEL.build(3, 4, 0)
    train(raw, BP(), data, data, replace(schedule, ema=0.0), seed=0)
    mean = 0.75 * mean + 0.25 * raw.local_modules[0][0].weight
    assert torch.allclose(net.local_modules[0][0].weight, mean, atol=1e-6)
    x, y = data.at(slice(0, None))
    with torch.no_grad():
        share = (net.eval()(x).argmax(1) == y).float().mean()
    assert history[-1]["accuracy"][-1] == pytest.approx(float(share), abs=1e-6)


def test_clipping_bounds_each_module_by_itself():
    class Steep(BP):
        """Makes the first module's gradient long, the second's short; checks them in the next."""

        def gradients(self, net, x, y):
            for number, pair in enumerate(net.pairs(), start=1):
                for part in pair:
                    for p in part.parameters():
                        p.grad = torch.full_like(p, 10.0 if number == 1 else 1e-4)
            return torch.zeros(2)

    data, schedule = images(), Schedule(1, 64, 1.0, warmup=0.0, momentum=0.0, weight_decay=0.0)
    moved = []
    for clip in (0.0, 0.5):
        net, before = MODEL.build(3, 4, 0), MODEL.build(3, 4, 0)
        train(net, Steep(), data, data, replace(schedule, clip=clip), seed=0)
        pairs = zip(net.pairs(), before.pairs(), strict=True)
        moved.append([
            torch.cat([
                (p - q).flatten()
                for a, b in zip(mine, theirs, strict=True)
                for p, q in zip(a.parameters(), b.parameters(), strict=True)
            ]).norm().item()
            for mine, theirs in pairs
        ])  # fmt: skip
    assert moved[0][0] > 100
    assert moved[1][0] == pytest.approx(0.5, rel=1e-3)
    assert moved[1][1] == pytest.approx(moved[0][1], rel=1e-3)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_fused_steps_are_the_textbooks(optimiser):
    schedule = replace(SCHEDULE, epochs=1, optimiser=optimiser, lr=0.01, augment=Augment())
    data, net, slow = images(16), MODEL.build(3, 4, 0), MODEL.build(3, 4, 0)
    train(net, BP(), data, data, schedule, seed=3)
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 1)
    kind = torch.optim.SGD if optimiser == "sgd" else torch.optim.AdamW
    more = {"momentum": 0.9, "nesterov": True} if optimiser == "sgd" else {}
    step = kind(slow.parameters(), 0.01, weight_decay=5e-4, foreach=False, fused=False, **more)
    for x, y in data.epoch(16, generator):
        BP().gradients(slow, x, y)
        step.step()
    for mine, theirs in zip(net.parameters(), slow.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_the_display_says_accuracy_discord_speed_and_memory():
    data, said = images(), []
    rows = train(
        MODEL.build(3, 4, 0), SGR(1.0), data, data, SCHEDULE, seed=0,
        on_epoch=lambda row, net: said.append((row, figures(row))),
    )  # fmt: skip
    assert "memory_bytes" not in rows[0]  # differs from run to run
    row, line = said[0]
    assert row["memory_bytes"] > 10 * 2**20
    assert re.fullmatch(r"accuracy \d\.\d{3}, discord \d+\.\d\d, \d+ images/s, \d+\.\d GiB", line)
    assert figures(row | {"memory_bytes": None, "discord": [None]}).endswith("images/s")


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


def test_a_schedule_of_cycles_repeats_a_shorter_one():
    short = Schedule(epochs=2, batch_size=1, lr=1.0)
    long = replace(short, epochs=6, cycles=3)
    factors = [long.factor(step, 60) for step in range(60)]
    assert factors == 3 * [short.factor(step, 20) for step in range(20)]


@pytest.mark.parametrize("cycles", [4, 5])
def test_cycles_must_divide_the_epochs(cycles):
    with pytest.raises(ConfigError, match=f"6 epochs cannot be shared equally by {cycles} cycles"):
        Schedule(epochs=6, batch_size=1, lr=1.0, cycles=cycles)


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
