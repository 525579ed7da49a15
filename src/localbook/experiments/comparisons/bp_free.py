"""Learning without back-propagation: closed-form SGR against the rest of the family."""

from dataclasses import dataclass

import torch
from torch import nn

from localbook.data import Augment, DeviceImages, ImageSet, limited
from localbook.experiments.comparisons.compare import Candidate, compare
from localbook.experiments.harness import Experiment
from localbook.local import (
    BP,
    BPFreeSGR,
    ConvNet,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardForward,
    IsolatedNetwork,
    NoProp,
    Rule,
    Schedule,
    noprop_network,
    with_length_norm,
)

METHODS = ("bp", "fa", "dfa", "ff", "noprop", "local", "sgr")
_NOPROP_SIDE = 4  # a NoProp block reads its convolution averaged to 4 x 4


@dataclass(frozen=True)
class BPFreeSetting:
    """Rules without back-propagation, and back-propagation, at one profile.

    Every module is one convolution with BatchNorm and ReLU, as the closed form asks for.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    train_images : int or None
        How many images to train on, drawn evenly by class, and at most to validate on; None for
        all.
    model : ConvNet
    schedule : Schedule
    rates : tuple of float
        Learning rates tried for every rule but SGR.
    reconciled : tuple of (float, float)
        Learning rates and λ tried for SGR: as many pairs as there are rates.
    tuning_epochs, seeds : int
    methods : tuple of str
    """

    data: str
    train_images: int | None
    model: ConvNet
    schedule: Schedule
    rates: tuple[float, ...]
    reconciled: tuple[tuple[float, float], ...]
    tuning_epochs: int
    seeds: int
    methods: tuple[str, ...] = METHODS

    def tried(self, method: str) -> tuple[Candidate, ...]:
        """Return the candidates of a method."""
        if method == "sgr":
            return tuple({"lr": lr, "weight": weight} for lr, weight in self.reconciled)
        return tuple({"lr": lr} for lr in self.rates)

    def network(self, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
        """Return the network; NoProp and Forward-Forward need one of their own form."""
        channels, classes = data.images.shape[1], int(data.labels.max()) + 1
        if method == "noprop":
            net = _noprop(self.model, data, classes, seed)
        else:
            net = self.model.build(channels, classes, seed)
            if method == "ff":
                net = with_length_norm(net)
        return net.to(data.labels.device)

    def rule(self, method: str, candidate: Candidate) -> Rule:
        """Return the rule; λ is the candidate's ``weight``, zero for plain local learning."""
        makers: dict[str, type[Rule]] = {
            "bp": BP,
            "fa": FeedbackAlignment,
            "dfa": DirectFeedbackAlignment,
            "noprop": NoProp,
        }
        if method in makers:
            return makers[method]()
        if method == "ff":
            return ForwardForward(classes=10)
        return BPFreeSGR(candidate.get("weight", 0.0))


def _noprop(model: ConvNet, data: DeviceImages, classes: int, seed: int) -> IsolatedNetwork:
    """Return a NoProp network with one block for each of the model's convolutions.

    A block reads the image beside the state, so its convolution starts from the image's channels.
    """
    example = data.at(slice(0, 2))[0].cpu()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
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


def _limit(setting: BPFreeSetting, sets: dict[str, ImageSet]) -> dict[str, ImageSet]:
    if setting.train_images is None:
        return sets
    # Not more to choose by than to learn from: every epoch ends with a look at these.
    most = min(setting.train_images, len(sets["val"]))
    return sets | {
        "train": limited(sets["train"], setting.train_images),
        "val": limited(sets["val"], most),
    }


_COLOUR = Augment(crop=4, flip=True)
_RATES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_RECONCILED = tuple((lr, weight) for lr in (0.05, 0.2) for weight in (0.1, 1.0, 10.0))
_SMALL = ConvNet((16,) * 6, (1, 1, 2, 1, 1, 1))
_MIDDLE = ConvNet((16, 32, 32, 64, 64, 64), (2, 1, 2, 1, 2, 1))
_LARGE = ConvNet((64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1))

BP_FREE_DIGITS = Experiment(
    {
        "quick": BPFreeSetting(
            data="digits",
            train_images=None,
            model=ConvNet((8,) * 4, (1, 2, 1, 1)),
            schedule=Schedule(epochs=6, batch_size=64, lr=0.05),
            rates=(0.05,),
            reconciled=((0.05, 1.0),),
            tuning_epochs=0,
            seeds=2,
        ),
        "cpu": BPFreeSetting(
            data="digits",
            train_images=None,
            model=_SMALL,
            schedule=Schedule(epochs=20, batch_size=64, lr=0.05),
            rates=_RATES,
            reconciled=_RECONCILED,
            tuning_epochs=10,
            seeds=5,
        ),
        "gpu": BPFreeSetting(
            data="digits",
            train_images=None,
            model=_SMALL,
            schedule=Schedule(epochs=100, batch_size=64, lr=0.05),
            rates=_RATES,
            reconciled=_RECONCILED,
            tuning_epochs=50,
            seeds=10,
        ),
    },
    compare,
    _limit,
)

BP_FREE_CIFAR10 = Experiment(
    {
        "quick": BPFreeSetting(
            data="shapes",
            train_images=500,
            model=ConvNet((8,) * 4, (2, 1, 2, 1)),
            schedule=Schedule(epochs=3, batch_size=50, lr=0.05),
            rates=(0.05,),
            reconciled=((0.05, 1.0),),
            tuning_epochs=0,
            seeds=2,
        ),
        "cpu": BPFreeSetting(
            data="cifar10",
            train_images=2_000,
            model=_MIDDLE,
            schedule=Schedule(epochs=5, batch_size=50, lr=0.05, augment=_COLOUR),
            rates=_RATES,
            reconciled=_RECONCILED,
            tuning_epochs=1,
            seeds=3,
        ),
        "gpu": BPFreeSetting(
            data="cifar10",
            train_images=None,
            model=_LARGE,
            schedule=Schedule(epochs=60, batch_size=256, lr=0.05, augment=_COLOUR),
            rates=_RATES,
            reconciled=_RECONCILED,
            tuning_epochs=10,
            seeds=3,
        ),
    },
    compare,
    _limit,
)
