"""NoProp's three variants and their controls beside the book's rules, all at the same tuning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import ConfigError
from localbook.experiments.comparisons import Comparison, compare
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
    NoPropBlock,
    Rule,
    Schedule,
    noprop_network,
    with_length_norm,
)

noprop = neighbours.noprop

METHODS: Mapping[str, Callable[[float], Rule]] = {
    "bp": lambda weight: BP(),
    "bp-one": lambda weight: BP(),
    "dt": lambda weight: NoProp(),
    "no-z": lambda weight: NoProp(),
    "no-image": lambda weight: NoProp(),
    "ct": lambda weight: noprop.ContinuousTime(),
    "ct-fixed": lambda weight: noprop.ContinuousTime(),
    "ct-even": lambda weight: noprop.ContinuousTime(even=True),
    "ct-embedding": lambda weight: noprop.ContinuousTime(),
    "fm": lambda weight: noprop.FlowMatching(),
    "fm-embedding": lambda weight: noprop.FlowMatching(),
    "fa": lambda weight: FeedbackAlignment(),
    "dfa": lambda weight: DirectFeedbackAlignment(),
    "ff": lambda weight: ForwardForward(classes=10),
    "local": lambda weight: BPFreeSGR(0.0),
    "sgr": lambda weight: BPFreeSGR(weight, "squared"),
}
"""The paper's variants, their controls and their rivals.

``bp`` has the same trunks side by side and ``bp-one`` one of them; ``no-z`` and ``no-image`` are DT
without one of a block's inputs; ``ct-fixed`` learns no schedule, ``ct-even`` neither that nor by
SNR'; ``embedding`` is learned. The last five are chains of convolutions.
"""

STEPS = (1, 2, 5, 20, 50)
"""In how many steps CT and FM walk."""

_DRAWS = 9  # walks from noise that vote


@dataclass(frozen=True)
class Trunks:
    """What all networks but those of the last five methods are made of.

    Attributes
    ----------
    count : int
        T: the blocks of DT, or the trunks side by side.
    widths, strides : tuple of int
        Of a trunk's convolutions.
    features : int
        What a trunk gives.
    chain : ConvNet
        The network of the other rules.
    """

    count: int
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    features: int
    chain: ConvNet


@dataclass(frozen=True)
class NoPropSetting(Comparison):
    """A comparison in which every method has the same rates."""

    def tried(self, method: str) -> tuple[dict[str, float], ...]:
        """Return the candidates: the pairs for SGR, the rates for all others."""
        if method == "sgr":
            return tuple({"lr": lr, "weight": weight} for lr, weight in self.pairs)
        return tuple({"lr": lr} for lr in self.rates)


def rule_of(method: str, weight: float, modules: int) -> Rule:
    """Return a method's rule."""
    if method not in METHODS:
        raise ConfigError(f"unknown method {method!r}; choose from {', '.join(METHODS)}.")
    return METHODS[method](weight)


class SideBySide(nn.ModuleList):
    """Trunks that all read the image; their features stand side by side."""

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, C, H, W) to features (N, T D)."""
        return torch.cat([trunk(x) for trunk in self], 1)


class Blank(nn.Module):
    """Hides the image."""

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros in the image's form."""
        return torch.zeros_like(x)


def trunk(model: Trunks, channels: int) -> nn.Module:
    """Return convolutions and a linear layer."""
    ends = (channels, *model.widths)
    layers: list[nn.Module] = []
    for before, after, stride in zip(ends, model.widths, model.strides, strict=False):
        conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU()]
    flat = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
    return nn.Sequential(*layers, flat, nn.Linear(16 * ends[-1], model.features))


def network(setting: Comparison, method: str, data: DeviceImages, seed: int) -> IsolatedNetwork:
    """Return a method's network."""
    model: Any = setting.model
    example = data.at(slice(0, 2))[0].cpu()
    channels, classes = example.shape[1], int(data.labels.max()) + 1
    if method in ("fa", "dfa", "ff", "local", "sgr"):
        net: IsolatedNetwork = model.chain.build(channels, classes, seed)
        return with_length_norm(net) if method == "ff" else net
    with seeded(seed):
        count = 1 if method == "bp-one" else model.count
        trunks = [trunk(model, channels) for _ in range(count)]
        beside, features = SideBySide(trunks), count * model.features
        if method in ("bp", "bp-one"):
            head = nn.Sequential(nn.ReLU(), nn.Linear(features, classes))
            return IsolatedNetwork([beside], [head])
        if method.startswith(("ct", "fm")):
            schedule = noprop.NoiseSchedule() if method.startswith("ct") else None
            if method in ("ct-fixed", "ct-even"):
                schedule = noprop.NoiseSchedule().requires_grad_(False)
            block = noprop.TimeBlock(beside, features, classes, schedule)
            block.embedding.requires_grad_(method.endswith("embedding"))
            return noprop.network(block)
    if method == "no-image":
        trunks = [nn.Sequential(Blank(), part) for part in trunks]
    net = noprop_network(trunks, example, classes, seed=seed)
    if method == "no-z":
        for part in net.local_modules:
            if isinstance(part, NoPropBlock):
                for weight in part.embed.parameters():
                    nn.init.zeros_(weight).requires_grad_(False)
    return net


@torch.no_grad()
def measured(net: IsolatedNetwork, test: DeviceImages) -> Row:
    """Return what a trained network says of the test images along its walks.

    Keys are ``by_steps``, accuracies by the nearest embedding after each number of steps, on the
    mean path (FM's flow starts at zero on it), the stochastic path and the ODE (FM's flow from
    noise); ``vote``, the most frequent class of nine walks from noise; ``read``, the head's
    accuracy at the end of each path; for DT ``alone``, each block's with z = 0, and ``noise``, from
    pure noise; for CT the ``schedule``. Back-propagation has ``sampled``, the mean of
    Σ_y p(y | x)², and ``ideal``, the walks by its best denoisers: a chain without training.
    """
    x, y = test.at(slice(0, len(test)))
    block = net.local_modules[0]
    if isinstance(block, SideBySide):
        log_p = net(x).log_softmax(1)
        sampled = round(log_p.exp().square().sum(1).mean().item(), 4)
        return {"sampled": sampled, "ideal": ideal_walks(log_p, y)}
    if not isinstance(block, NoPropBlock | noprop.TimeBlock):
        return {}
    dt, classes = isinstance(block, NoPropBlock), block.classes
    found: Row = {"by_steps": {}, "read": {}}
    paths: tuple[noprop.Path, ...] = ("mean", "ode")
    if dt or block.schedule:
        paths = ("mean", "stochastic", "ode")
    for path in paths:
        walks = [noprop.states(net, x, n, path, seed=0) for n in ((len(net),) if dt else STEPS)]
        ends = walks[0][1:] if dt else [z[-1] for z in walks]
        found["by_steps"][path] = [_share(noprop.nearest(net, z), y) for z in ends]
        state = torch.cat([x.flatten(1), ends[-1]], 1) if dt else ends[-1]
        found["read"][path] = _share(net.heads[-1](state).argmax(1), y)
    votes = torch.zeros(len(x), classes).to(x)
    for seed in range(_DRAWS):
        z = noprop.states(net, x, 20, "stochastic" if "stochastic" in paths else "ode", seed)[-1]
        votes += F.one_hot(noprop.nearest(net, z), classes)
    found["vote"] = _share(votes.argmax(1), y)
    if dt:
        noise = torch.randn(len(x), classes, generator=torch.Generator().manual_seed(0)).to(x)
        blocks = [part for part in net.local_modules if isinstance(part, NoPropBlock)]
        for key, z in (("alone", 0 * noise), ("noise", noise)):
            found[key] = [_share(part.estimate(x, z).argmax(1), y) for part in blocks]
    elif isinstance(block.schedule, noprop.NoiseSchedule):
        found["schedule"] = [round(level, 4) for level in block.schedule.levels(20)]
    return found


@torch.no_grad()
def ideal_walks(log_p: Tensor, y: Tensor) -> Row:
    """Return the accuracies of walks by the best denoisers of log p (N, classes), as in STEPS."""
    made: Row = {"mean": [], "stochastic": [], "ode": [], "flow": []}
    with seeded(0):
        noise = torch.randn_like(log_p)
        for n in STEPS:
            levels = torch.sigmoid(torch.linspace(-4, 4, n + 1).double()).tolist()
            best = noprop.ideal(log_p, levels)
            for path in ("mean", "stochastic", "ode"):
                start = 0 * noise if path == "mean" else noise
                made[path].append(_share(noprop.walk(best, start, levels, path)[-1].argmax(1), y))
            end = noprop.flow(noprop.ideal_velocity(log_p, n), noise, n)[-1]
            made["flow"].append(_share(end.argmax(1), y))
    return made


def _share(said: Tensor, y: Tensor) -> float:
    return round((said == y).double().mean().item(), 4)


_QUICK = NoPropSetting(
    data="digits",
    model=Trunks(2, (16,), (2,), 16, ConvNet((8,) * 4, (1, 2, 1, 1))),
    schedule=Schedule(epochs=8, batch_size=64, lr=0.01, optimiser="adamw"),
    methods=("bp", "dt", "no-z", "no-image", "ct", "fm"),
    rates=(0.01,),
    pairs=((0.01, 0.1),),
    seeds=2,
    images=(500, 143, 200),
)
_DIGITS = replace(
    _QUICK,
    model=Trunks(4, (16,), (2,), 32, ConvNet((24, 24, 32, 32, 32), (1, 1, 2, 1, 1))),
    schedule=Schedule(epochs=10, batch_size=64, lr=0.01, optimiser="adamw"),
    methods=tuple(METHODS),
    rates=(0.003, 0.01, 0.03),
    pairs=((0.003, 0.1), (0.01, 0.1), (0.03, 0.1)),
    tuning_epochs=5,
    seeds=10,
    images=(640, 143, 359),
)
_RUN = partial(compare, rule_of=rule_of, network=network, measure=measured, measure_epochs=False)
NOPROP = Experiment({"quick": _QUICK, "cpu": _DIGITS}, _RUN, fewer_images)
"""Digits."""

NOPROP_CIFAR10 = Experiment(
    {
        "cpu": replace(
            _DIGITS,
            data="cifar10",
            model=Trunks(4, (16,), (2,), 32, ConvNet((16, 32, 32, 32, 32), (2, 1, 2, 1, 1))),
            schedule=Schedule(epochs=10, batch_size=50, lr=0.01, optimiser="adamw"),
            rates=(0.001, *_DIGITS.rates),
            pairs=((0.001, 0.1), *_DIGITS.pairs),
            tuning_epochs=10,
            images=(500, 300, 500),
        )
    },
    _RUN,
    fewer_images,
)
"""Photographs."""
