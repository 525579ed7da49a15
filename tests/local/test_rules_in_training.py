"""Every rule goes through the one trainer, and the network it trains answers better than chance."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from localbook.data import Augment, DeviceImages, ImageSet
from localbook.local import (
    SGR,
    BPFreeSGR,
    ConvNet,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardForward,
    Greedy,
    InfoPro,
    IsolatedNetwork,
    NoProp,
    PlainLocal,
    PredSim,
    Rule,
    Schedule,
    equip,
    noprop_network,
    train,
    with_dgl_heads,
    with_length_norm,
)

CLASSES = 4
CONTRAST = InfoPro(contrast=True)


def net() -> IsolatedNetwork:
    return ConvNet((8, 12), (1, 2)).build(3, CLASSES, 0)


def example() -> Tensor:
    return torch.zeros(2, 3, 8, 8)


def noprop() -> IsolatedNetwork:
    torch.manual_seed(0)
    trunks = [
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        for _ in range(2)
    ]
    return noprop_network(trunks, example(), CLASSES, seed=0)


CASES: dict[str, tuple[Rule, Callable[[], IsolatedNetwork]]] = {
    "dgl": (PlainLocal(), lambda: with_dgl_heads(net(), example(), seed=0)),
    "predsim": (PlainLocal(PredSim()), lambda: equip(net(), PredSim(), example(), seed=0)),
    "infopro": (PlainLocal(InfoPro()), lambda: equip(net(), InfoPro(), example(), seed=0)),
    "contrast": (PlainLocal(CONTRAST), lambda: equip(net(), CONTRAST, example(), seed=0)),
    "sgr on predsim": (
        SGR(0.1, loss=PredSim()),
        lambda: equip(net(), PredSim(), example(), seed=0),
    ),
    "sgr on infopro": (
        SGR(0.1, loss=CONTRAST),
        lambda: equip(net(), CONTRAST, example(), seed=0),
    ),
    "sgr on dgl": (SGR(0.1), lambda: with_dgl_heads(net(), example(), seed=0)),
    "last stage": (Greedy(1.0), net),
    "bp-free sgr": (BPFreeSGR(0.1), net),
    "feedback alignment": (FeedbackAlignment(), net),
    "direct feedback": (DirectFeedbackAlignment(), net),
    "forward-forward": (ForwardForward(CLASSES, goodness="mean"), lambda: with_length_norm(net())),
    "noprop": (NoProp(), noprop),
}


@pytest.mark.parametrize("name", CASES)
def test_every_rule_learns(name: str) -> None:
    rule, build = CASES[name]
    rng = np.random.default_rng(0)
    labels = np.arange(64) % CLASSES
    pixels = rng.integers(0, 60, (64, 3, 8, 8)) + 45 * labels[:, None, None, None]
    images = ImageSet(pixels.astype(np.uint8), labels, tuple("abcd"), "made up")
    data = DeviceImages(images)
    schedule = Schedule(epochs=12, batch_size=16, lr=0.1, augment=Augment(crop=1, flip=True))
    torch.manual_seed(0)
    history = train(build(), rule, data, data, schedule, seed=0)
    assert history[-1]["accuracy"][-1] > 0.5
