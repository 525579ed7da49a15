import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localbook.data import Augment, DeviceImages, ImageSet
from localbook.errors import ConfigError
from localbook.local import BP, Schedule, batches, isolated_airbench, optimiser, set_rate, train

FAST = Schedule(
    epochs=4,
    batch_size=8,
    lr=0.05,
    warmup=0.23,
    momentum=0.85,
    weight_decay=0.002,
    augment=Augment(crop=1, flip=True, whole=True),
    label_smoothing=0.2,
    ends=(0.2, 0.07),
    decoupled=True,
    bias_rate=8.0,
    stem=0.5,
)


def images(n=24, side=12):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    return DeviceImages(ImageSet(pixels, np.arange(n) % 4, tuple("abcd"), "random"))


def network(data):
    return isolated_airbench(4, images=data.at(slice(None))[0], width=2, seed=0)


def test_each_image_is_mirrored_in_every_second_epoch():
    data = images()
    plain = replace(FAST, augment=Augment(flip=True, whole=True), label_smoothing=0.0)
    x, _ = data.at(slice(None))
    shown = []
    for epoch in range(1, 5):
        seen = torch.cat([x for x, _ in batches(data, plain, 4, seed=3, epoch=epoch)])
        same, other = ((seen[None] == form[:, None]).flatten(2).all(2) for form in (x, x.flip(3)))
        assert torch.equal((same | other).sum(1), torch.ones(24, dtype=torch.int64))
        shown.append(other.any(1))
    assert 0 < shown[0].sum() < 24
    assert torch.equal(shown[0], ~shown[1])
    assert torch.equal(shown[0], shown[2])
    assert torch.equal(shown[1], shown[3])


def test_the_trainer_takes_the_steps_of_a_loop_by_hand():
    """Groups by name, torch's own schedule, and the decay added to the gradient by hand."""
    data = images()
    net, by_hand = network(data), network(data)
    train(net, BP(), data, data, FAST, seed=1)

    by_hand.train()
    steps = 12
    named = [(n, p) for n, p in by_hand.named_parameters() if p.requires_grad]
    momentum = {name: torch.zeros_like(p) for name, p in named}
    step = 0
    for epoch in range(1, 5):
        for x, y in batches(data, FAST, 4, 1, epoch):
            share = float(np.interp(step, [0, round(0.23 * steps), steps], [0.2, 1, 0.07]))
            by_hand.zero_grad(set_to_none=True)
            BP().gradients(by_hand, x, y)
            for name, p in named:
                rate = share * 0.05 * (8 if "norm" in name else 1)
                if name.endswith("whiten.bias") and step >= steps / 2:
                    rate = 0
                gradient = p.grad + 0.002 / (0.05 * (8 if "norm" in name else 1)) * p.detach()
                momentum[name] = 0.85 * momentum[name] + gradient if step else gradient
                with torch.no_grad():
                    p -= rate * (gradient + 0.85 * momentum[name])
            step += 1
    assert step == steps
    for name, value in net.state_dict().items():
        assert torch.allclose(value, by_hand.state_dict()[name], atol=2e-5), name


def test_decoupled_decay_shrinks_weights_alike_at_every_learning_rate():
    data = images()
    left = []
    for lr in (0.01, 1.0):
        net = network(data)
        plan = replace(FAST, lr=lr, momentum=0.0)
        own = optimiser(net, plan, torch.device("cpu"))
        before = {n: p.detach().clone() for n, p in net.named_parameters() if p.requires_grad}
        for p in net.parameters():
            p.grad = torch.zeros_like(p) if p.requires_grad else None
        set_rate(own, plan, step=3, total=12)
        own.step()
        named = dict(net.named_parameters())
        left.append(torch.stack([named[n].norm() / v.norm() for n, v in before.items() if v.any()]))
    assert torch.allclose(left[0], torch.full_like(left[0], 1 - 0.002 * FAST.factor(3, 12)))
    assert torch.allclose(left[0], left[1])


@settings(deadline=None, max_examples=50, derandomize=True)
@given(st.integers(1, 200), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 199))
def test_straight_lines_are_those_of_an_interpolation(total, warmup, first, last, step):
    plan = replace(FAST, warmup=warmup, ends=(first, last))
    rise = min(max(1, round(warmup * total)), total)
    expected = np.interp(min(step, total - 1), [0, rise, total], [first, 1, last])
    assert math.isclose(plan.factor(min(step, total - 1), total), expected, abs_tol=1e-9)


def test_one_group_if_nothing_is_asked_for():
    plan = Schedule(epochs=1, batch_size=8, lr=0.1)
    own = optimiser(network(images()), plan, torch.device("cpu"))
    assert [group["weight_decay"] for group in own.param_groups] == [5e-4]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bias_rate": 0.0}, "bias_rate=0.0 must be larger than zero"),
        ({"lr": 0.0}, "lr=0.0 must be larger than zero"),
        ({"ends": (0.2, 1.5)}, "must be between 0 and 1"),
        ({"stem": -1.0}, "stem=-1.0 must be a number"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        replace(FAST, **wrong)


def test_measurements_after_the_last_epoch_only():
    data = images()
    rows = []
    history = train(
        network(data), BP(), data, data, FAST,
        seed=0, measure_epochs=False, processor=True, on_epoch=lambda row, net: rows.append(row),
    )  # fmt: skip
    assert ["accuracy" in row for row in history] == [False] * 3 + [True]
    every = train(network(data), BP(), data, data, FAST, seed=0)
    for key in ("loss", "accuracy", "discord", "cosine", "alignment"):
        assert history[-1][key] == every[-1][key]
    assert all(row["processor_seconds"] > 0 for row in history)
    assert len(rows) == 4
