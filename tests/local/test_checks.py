"""What is refused, by the trainer and in a step by hand, one sentence each."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from localbook.data import DeviceImages, ImageSet
from localbook.errors import ConfigError
from localbook.local import (
    BP,
    SGR,
    SID,
    ConvNet,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    Schedule,
    alignment,
    discord,
    telescope,
    train,
)

SCHEDULE = Schedule(epochs=1, batch_size=4, lr=0.1)


def images(stats: tuple[list[float], list[float]] | None = None) -> DeviceImages:
    labels = np.arange(8) % 4
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 8, 8)).astype(np.uint8)
    return DeviceImages(ImageSet(pixels, labels, tuple("abcd"), "made up"), stats=stats)


def net() -> IsolatedNetwork:
    return ConvNet((4, 6), (1, 2)).build(3, 4, 0)


def test_a_frozen_module() -> None:
    frozen = net()
    frozen.local_modules[1].requires_grad_(False)
    with pytest.raises(ConfigError, match=r"module 2 is frozen: .* unfreeze it"):
        train(frozen, PlainLocal(), images(), images(), SCHEDULE, seed=0)


def test_a_module_with_nothing_to_train() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).requires_grad_(False)
    idle = IsolatedNetwork([nn.ReLU()], [head])
    with pytest.raises(ConfigError, match="module 1 has no parameter that requires grad"):
        train(idle, PlainLocal(), images(), images(), SCHEDULE, seed=0)


def test_inputs_that_are_not_numbers() -> None:
    nan = images(stats=([float("nan")] * 3, [1.0] * 3))
    with pytest.raises(ConfigError, match="NaN or infinite; mend or remove them"):
        train(net(), BP(), nan, nan, SCHEDULE, seed=0)
    infinite = images(stats=([float("inf")] * 3, [1.0] * 3))
    with pytest.raises(ConfigError, match="NaN or infinite"):
        train(net(), BP(), infinite, infinite, SCHEDULE, seed=0)


def test_a_batch_of_one_under_batch_norm() -> None:
    with pytest.raises(ConfigError, match="BatchNorm cannot be trained on a batch of one"):
        train(net(), BP(), images(), images(), Schedule(1, 1, 0.1), seed=0)
    without = IsolatedNetwork([nn.Flatten()], [nn.Linear(192, 4)])
    train(without, BP(), images(), images(), Schedule(1, 1, 0.01), seed=0)


def test_soft_targets_need_heads_of_equal_size() -> None:
    mixed = net()
    mixed.heads[0][-1] = nn.Linear(4, 7)
    train(mixed, PlainLocal(), images(), images(), SCHEDULE, seed=0)
    smooth = Schedule(epochs=1, batch_size=4, lr=0.1, label_smoothing=0.1)
    with pytest.raises(ConfigError, match=r"different numbers of classes \(7, 4\)"):
        train(mixed, PlainLocal(), images(), images(), smooth, seed=0)


def test_images_of_another_form_than_the_network_takes() -> None:
    for other, number in ((ConvNet((4, 6), (1, 2)).build(1, 4, 0), 1), (net(), 2)):
        if number == 2:
            other.local_modules[1][0] = nn.Conv2d(5, 6, 3)
        with pytest.raises(ConfigError, match=rf"module {number} .* \(2, [34], 8, 8\) .*channels"):
            train(other, BP(), images(), images(), SCHEDULE, seed=0)


def test_labels_beyond_the_heads() -> None:
    x, y = torch.randn(5, 3, 8, 8), torch.arange(5)
    for measure in (discord, telescope, lambda *a: alignment(a[0], BP(), *a[1:])):
        with pytest.raises(ConfigError, match="run from 0 to 4 but the heads have 4 classes"):
            measure(net(), x, y)


class Halves(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[::2]


@pytest.mark.parametrize(
    "rule", [PlainLocal(), SGR(1.0), SID(), BP()], ids=lambda r: type(r).__name__
)
def test_a_step_by_hand_names_what_does_not_fit(rule: Rule) -> None:
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8) % 4
    few = net()
    few.heads[1][-1] = nn.Linear(6, 3)
    fewer = net()
    fewer.local_modules[0].append(Halves())
    for own, labels, told in (
        (few, y, "head [12] has 3 classes but the labels need 4"),
        (net(), y.float(), r"labels must be int64 .* not torch.float32 of shape \(8,\)"),
        (net(), y[:, None], r"labels must be int64 .* of shape \(8, 1\)"),
        (net(), y[:5], "5 labels for 8 images"),
        (fewer, y, "module 1 returns an output of length 1 for 2 samples"),
    ):
        with pytest.raises(ConfigError, match=told):
            rule.gradients(own, x, labels)
    with pytest.raises(ConfigError, match=r"module 1 .* type torch.float64"):
        rule.gradients(net(), x.double(), y)
    losses = rule.gradients(net(), x, nn.functional.one_hot(y, 4).float())  # soft targets
    assert losses.isfinite().all()


def test_a_failure_of_a_modules_own_stays_what_it_is() -> None:
    class Tired(nn.ReLU):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                raise RuntimeError("too tired")
            return super().forward(x)

    tired = net()
    tired.local_modules[1].append(Tired())
    with pytest.raises(RuntimeError, match="too tired"):
        PlainLocal().gradients(tired, torch.randn(8, 3, 8, 8), torch.arange(8) % 4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"net": nn.Sequential(nn.Flatten())}, "the network is a Sequential; .* IsolatedNetwork"),
        ({"rule": SGR}, r"SGR is a class; give a rule made of it: SGR\(\)"),
        ({"rule": object()}, "object is no learning rule"),
        ({"data": images}, "data is of type function; give DeviceImages"),
        ({"held_out": torch.zeros(8, 3, 8, 8)}, "held_out is of type Tensor; give DeviceImages"),
    ],
)
def test_what_is_of_another_kind(change: dict[str, Any], told: str) -> None:
    given = {"net": net(), "rule": PlainLocal(), "data": images(), "held_out": images()}
    with pytest.raises(ConfigError, match=told):
        train(**(given | change), schedule=SCHEDULE, seed=0)


def test_networks_and_weights_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="2 widths and 1 strides"):
        ConvNet((4, 6), (1,)).build(3, 4, 0)
    with pytest.raises(ConfigError, match="no norm 'layer'; choose from: batch, group, none"):
        ConvNet((4,), (1,), norm="layer").build(3, 4, 0)
    for weight in ([0.0, 1.0], "1", None, (0.0, "1")):
        with pytest.raises(ConfigError, match="must be a number, zero or larger, or a tuple"):
            SGR(weight)
    with pytest.raises(ConfigError, match="SGR has no distance 3"):
        SGR(1.0, 3)
    with pytest.raises(ConfigError, match=r"modules_per_step=1.5: a whole number"):
        SGR(modules_per_step=1.5)
    by_sample = SGR(1.0, lambda gamma, target: (gamma - target).square().flatten(1).sum(1))
    with pytest.raises(ConfigError, match=r"the distance returns shape \(8,\), not one number"):
        by_sample.gradients(net(), torch.randn(8, 3, 8, 8), torch.arange(8) % 4)
