"""A user's own rule and loss go wherever ours go."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from localbook.data import Augment, DeviceImages, ImageSet
from localbook.errors import ConfigError
from localbook.local import (
    SGR,
    Compute,
    ConvNet,
    LocalLoss,
    LocalRule,
    PlainLocal,
    Rule,
    Schedule,
    account,
    equip,
    parallel,
    train,
)

SCHEDULE = Schedule(epochs=2, batch_size=8, lr=0.05)


def images(channels=3, side=8, classes=4):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, channels, side, side)).astype(np.uint8)
    names = tuple("abcdefgh"[:classes])
    return DeviceImages(ImageSet(pixels, np.arange(40) % classes, names, "made up"))


def network():
    return ConvNet((4, 6, 6), (1, 2, 1)).build(3, 4, 0)


@dataclass(frozen=True)
class Brightness(LocalLoss):
    """Cross-entropy, and a trained guess of the image's brightness."""

    def __call__(self, head, out, y, image):
        guess = head.parts["guess"](out.mean((2, 3)))[:, 0]
        error = (guess - image.mean((1, 2, 3))).square().sum()
        return error + F.cross_entropy(head(out), y, reduction="sum")

    def parts(self, out, image):
        return {"guess": nn.Linear(out.shape[1], 1)}


@dataclass(frozen=True)
class Halved(LocalRule):
    """Plain local learning with every module's gradient halved; not a dataclass of ours."""

    loss: LocalLoss

    def step(self, module, head, place, signal):
        loss, told = PlainLocal(self.loss).step(module, head, place, signal)
        for part in (module, head):
            for p in part.parameters():
                p.grad = None if p.grad is None else p.grad / 2
        return loss, told


def equipped():
    return equip(network(), Brightness(), images().at(slice(0, 8))[0], seed=0)


def weights(net):
    return torch.cat([value.double().flatten() for value in net.state_dict().values()])


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("rule", [Halved(Brightness()), SGR(0.3, loss=Brightness())])
def test_one_process_compiled_or_not_and_many_train_the_same(rule):
    alone, fast, apart = equipped(), equipped(), equipped()
    start = weights(alone)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(alone, rule, images(), images(), SCHEDULE, seed=0)
    torch.compiler.reset()
    compute = Compute(compile="aot_eager")
    train(fast, rule, images(), images(), SCHEDULE, seed=0, compute=compute)
    parallel.launch(apart, rule, images(), images(), SCHEDULE, seed=0)
    torch.set_num_threads(threads)
    assert not torch.allclose(weights(alone), start)
    assert torch.allclose(weights(fast), weights(alone), atol=1e-6)
    assert torch.equal(weights(apart), weights(alone))


def test_its_costs_are_counted():
    x, y = images().at(slice(0, 8))
    *_, own = account(equipped(), {"own": Halved(Brightness())}, x, y, repeats=1)
    assert own.saved is not None
    assert own.saved.peak > 0


def test_what_a_rule_answers_is_believed():
    class Whole(Rule):
        by_hand = True

    with pytest.raises(ConfigError, match="Whole goes through each layer by hand"):
        train(
            network(), Whole(), images(), images(), SCHEDULE, seed=0,
            compute=Compute(compile="aot_eager"),
        )  # fmt: skip
    with pytest.raises(ConfigError, match="Whole needs to see more than one module at a time"):
        parallel.launch(network(), Whole(), images(), images(), SCHEDULE, seed=0)


def test_what_is_no_rule_is_refused():
    with pytest.raises(ConfigError, match=r"function is no learning rule.*localbook\.local\.Rule"):
        train(network(), lambda net, x, y: x, images(), images(), SCHEDULE, seed=0)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("batch_size", 0, "a whole number, one or larger"),
        ("batch_size", 2.5, "a whole number"),
        ("epochs", -1, "a whole number"),
        ("momentum", -0.5, "at least 0 and less than 1"),
        ("momentum", 1.5, "at least 0 and less than 1"),
        ("momentum", 1, "at least 0 and less than 1"),
        ("weight_decay", -1, "zero or larger"),
        ("lr", float("nan"), "zero or larger"),
        ("warmup", 2, "between 0 and 1"),
        ("warmup", float("nan"), "between 0 and 1"),
        ("ends", (0.5, 2.0), "between 0 and 1"),
        ("augment", Augment(-1), "zero or more pixels"),
    ],
)
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_schedule_out_of_range_is_refused(field, value, words, optimiser):
    with pytest.raises(ConfigError, match=words):
        replace(SCHEDULE, optimiser=optimiser, **{field: value})


@pytest.mark.parametrize("trainer", [train, parallel.launch])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": images(1)}, r"have shape \(1, 8, 8\) and those to measure on \(3, 8, 8\)"),
        ({"data": images(1), "held_out": images(1)}, r"cannot take .* shape \(2, 1, 8, 8\)"),
        ({"held_out": images(side=6)}, "give both the same channels and size"),
        ({"held_out": images(classes=6)}, "labels run from 0 to 5 but the heads have 4"),
        ({"net": network().double()}, r"type torch.float32 .*DoubleTensor"),
        ({"net": network().bfloat16()}, r"type torch.float32 .*BFloat16"),
        ({"schedule": replace(SCHEDULE, batch_size=41)}, "between 1 and the 40 images"),
        ({"schedule": replace(SCHEDULE, augment=Augment(8))}, "crop=8 must be less than"),
        ({"schedule": replace(SCHEDULE, augment=Augment(8, whole=True))}, "crop=8"),
        ({"seed": -1}, "seed=-1 must be zero or larger"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(trainer, change, words):
    given = {"net": network(), "data": images(), "held_out": images(), "schedule": SCHEDULE}
    given |= {"rule": PlainLocal(), "seed": 0} | copy.deepcopy(change)
    with pytest.raises(ConfigError, match=words):
        trainer(**given)
