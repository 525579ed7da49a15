"""Learning without back-propagation: closed-form SGR against the rest of the family.

Every module is one convolution with BatchNorm and ReLU, as the closed form asks for.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from localbook.data import Augment, DeviceImages
from localbook.experiments.comparisons.compare import compare, of_model
from localbook.experiments.comparisons.rules import by_name
from localbook.experiments.comparisons.setting import Comparison
from localbook.experiments.harness import Experiment, fewer_images
from localbook.fit import seeded
from localbook.local import (
    BP,
    BPFreeSGR,
    ConvNet,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardForward,
    IsolatedNetwork,
    NoProp,
    Schedule,
    noprop_network,
    with_length_norm,
)

_NOPROP_SIDE = 4  # a NoProp block reads its convolution averaged to 4 x 4

_RULE = by_name(
    {
        "bp": lambda weight, modules: BP(),
        "fa": lambda weight, modules: FeedbackAlignment(),
        "dfa": lambda weight, modules: DirectFeedbackAlignment(),
        "ff": lambda weight, modules: ForwardForward(classes=10),
        "ff-mean": lambda weight, modules: ForwardForward(classes=10, goodness="mean"),
        "noprop": lambda weight, modules: NoProp(),
        "local": lambda weight, modules: BPFreeSGR(0.0),
        "sgr": lambda weight, modules: BPFreeSGR(weight, "squared"),
    }
)


def _network(setting: Any, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
    """Return the network; NoProp and Forward-Forward need one of their own form."""
    if method == "noprop":
        classes = int(data.labels.max()) + 1
        return _noprop(setting.model, data, classes, seed).to(data.labels.device)
    net = of_model(setting, method, data, seed)
    return with_length_norm(net) if method.startswith("ff") else net


def _noprop(model: ConvNet, data: DeviceImages, classes: int, seed: int) -> IsolatedNetwork:
    """Return a NoProp network with one block for each of the model's convolutions.

    A block reads the image beside the state, so its convolution starts from the image's channels.
    """
    example = data.at(slice(0, 2))[0].cpu()
    with seeded(seed):
        trunks = [
            nn.Sequential(
                nn.Conv2d(example.shape[1], width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.AdaptiveAvgPool2d(_NOPROP_SIDE),
                nn.Flatten(),
            )
            for width in model.widths
        ]
    return noprop_network(trunks, example, classes, seed=seed)


_COLOUR = Augment(crop=4, flip=True)
_MIDDLE = ConvNet((16, 32, 32, 64, 64, 64), (2, 1, 2, 1, 2, 1))
_LARGE = ConvNet((64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1))
_QUICK = Comparison(
    data="digits",
    model=ConvNet((8,) * 4, (1, 2, 1, 1)),
    schedule=Schedule(epochs=3, batch_size=64, lr=0.05),
    methods=("bp", "fa", "dfa", "ff", "ff-mean", "noprop", "local", "sgr"),
    weights=(1.0,),
    seeds=2,
)
_DIGITS = replace(
    _QUICK,
    model=ConvNet((16,) * 6, (1, 1, 2, 1, 1, 1)),
    schedule=Schedule(epochs=20, batch_size=64, lr=0.05),
    rates=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    pairs=tuple((lr, weight) for lr in (0.05, 0.2) for weight in (0.1, 1.0, 10.0)),
    weights=(),
    tuning_epochs=10,
    seeds=5,
)

_RUN = partial(compare, rule_of=_RULE, network=_network)
BP_FREE_DIGITS = Experiment(
    {
        "quick": _QUICK,
        "cpu": _DIGITS,
        "gpu": replace(
            _DIGITS,
            schedule=Schedule(epochs=100, batch_size=64, lr=0.05),
            tuning_epochs=50,
            seeds=10,
        ),
    },
    _RUN,
    fewer_images,
)

BP_FREE_CIFAR10 = Experiment(
    {
        "quick": replace(
            _QUICK,
            data="shapes",
            images=(500, 500, None),
            model=ConvNet((8,) * 4, (2, 1, 2, 1)),
            schedule=Schedule(epochs=3, batch_size=50, lr=0.05),
        ),
        "cpu": replace(
            _DIGITS,
            data="cifar10",
            images=(2_000, 2_000, None),
            model=_MIDDLE,
            schedule=Schedule(epochs=5, batch_size=50, lr=0.05, augment=_COLOUR),
            tuning_epochs=1,
            seeds=3,
        ),
        "gpu": replace(
            _DIGITS,
            data="cifar10",
            model=_LARGE,
            schedule=Schedule(epochs=60, batch_size=256, lr=0.05, augment=_COLOUR),
            seeds=3,
        ),
    },
    _RUN,
    fewer_images,
)
