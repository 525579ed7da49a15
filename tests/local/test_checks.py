"""What the trainer refuses, one sentence each."""

import numpy as np
import pytest
import torch
from torch import nn

from localbook.data import ImageSet
from localbook.data.batches import DeviceImages
from localbook.errors import ConfigError
from localbook.local import BP, ConvNet, IsolatedNetwork, PlainLocal, Schedule, train
from localbook.local.networks.checks import check_inputs

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
    check_inputs(torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="NaN or infinite"):
        check_inputs(torch.tensor([1.0, float("inf")]))


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
