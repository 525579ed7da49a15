"""Where reconciliation helps: SGR and its controls by norm, head and strength, seed by seed.

A method is called ``NORM-HEADS_RULE``, such as ``none-trained_sgr-1``: the cell, and the rule with
its λ. All rules of a cell share plain local learning's best rate, the images and the weights they
start from, so that differences are paired. Every seed draws images of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from localbook.arrays import Row
from localbook.data import DeviceImages, ImageSet
from localbook.errors import ConfigError, TrainingError
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    seed_by_seed,
    tune,
)
from localbook.local import (
    BP,
    DISTANCES,
    SGR,
    SID,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    Schedule,
    accuracy,
    batches,
    discord,
    error_budget,
    optimiser,
    set_rate,
    with_auglocal_heads,
    with_heads,
)

_LOOKED_AT = 256  # training images on which gradients are compared
_TEST_BATCH = 512
HEADS = {"trained": "linear", "fixed": "random", "shared": "random"}


@dataclass(frozen=True)
class Regime:
    """The cells and rules of one comparison, at one profile.

    Attributes
    ----------
    data : str
        The image set, unless another is asked for.
    methods : tuple of str
        ``NORM-HEADS_RULE``: batch, group or none; trained, fixed or shared (fixed, one for all);
        bp, local, auglocal, sid, or sgr, zero, shuffled with a λ.
    widths : tuple of int
        Of the modules: a linear layer or a 3 x 3 convolution, the norm, tanh.
    strides : tuple of int
        Of the convolutions; none for linear layers.
    train : int
        How many images every seed draws from the train split.
    schedule : Schedule
        Its ``lr`` is not used.
    rates : tuple of float
        Tried for plain local learning in every cell.
    looks : int
        How often gradients are measured in a run, evenly spaced.
    seeds, tuning_seeds : int
    images : tuple of int or None
        At most how many images of train, val and test.
    """

    data: str
    methods: tuple[str, ...]
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    train: int
    schedule: Schedule
    rates: tuple[float, ...]
    looks: int = 6
    seeds: int = 16
    tuning_seeds: int = 3
    images: tuple[int | None, int | None, int | None] = (None, None, None)

    @property
    def overruled(self) -> dict[str, str]:
        """Return the fields that nothing looks at, each with the reason."""
        return {"schedule.lr": "plain local learning's best of `rates` is taken; set these"}


def _zero(gamma: Tensor, target: Tensor) -> Tensor:
    return DISTANCES["per_position"](gamma, torch.zeros_like(target))


def _shuffled(gamma: Tensor, target: Tensor) -> Tensor:
    return DISTANCES["per_position"](gamma, target.roll(1, dims=0))


def _rule(name: str) -> Rule:
    kind, _, weight = name.partition("-")
    unweighted = {"bp": BP(), "local": PlainLocal(), "auglocal": PlainLocal(), "sid": SID()}
    targets: dict[str, Any] = {"sgr": "per_position", "zero": _zero, "shuffled": _shuffled}
    try:
        return unweighted[kind] if not weight else SGR(float(weight), targets[kind])
    except (KeyError, ValueError):
        raise ConfigError(
            f"unknown rule {name!r}; choose {', '.join(unweighted)}, or {', '.join(targets)} with "
            "a λ, such as sgr-1."
        ) from None


def _cell(method: str) -> tuple[str, str, str]:
    cell, _, rule = method.partition("_")
    norm, _, heads = cell.partition("-")
    if norm not in ("batch", "group", "none") or heads not in HEADS:
        raise ConfigError(
            f"unknown method {method!r}; give NORM-HEADS_RULE, such as none-trained_sgr-1."
        )
    return norm, heads, rule


def _modules(setting: Regime, norm: str, channels: int) -> Iterator[nn.Module]:
    for number, (inputs, width) in enumerate(pairwise((channels, *setting.widths))):
        layers: list[nn.Module]
        if setting.strides:
            layers = [nn.Conv2d(inputs, width, 3, setting.strides[number], padding=1)]
        else:
            layers = [nn.Flatten(), nn.Linear(inputs, width)]
        if norm == "batch":
            layers.append((nn.BatchNorm2d if setting.strides else nn.BatchNorm1d)(width))
        elif norm == "group":
            layers.append(nn.GroupNorm(4, width))
        yield nn.Sequential(*layers, nn.Tanh())


def network(setting: Regime, method: str, x: Tensor, seed: int) -> IsolatedNetwork:
    """Return a method's network for images like x (N, C, H, W), the same for a cell's rules."""
    norm, heads, rule = _cell(method)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        channels = x.shape[1] if setting.strides else x[0].numel()
        modules = list(_modules(setting, norm, channels))
    net = IsolatedNetwork(modules, [nn.Identity()] * len(modules))
    net = with_heads(net, HEADS[heads], x, seed=seed, shared=heads == "shared", classes=10)
    return with_auglocal_heads(net, x, seed=seed) if rule == "auglocal" else net


def _drawn(images: ImageSet, count: int, seed: int) -> ImageSet:
    rows = np.sort(np.random.default_rng(seed).permutation(len(images))[:count])
    return replace(images, images=images.images[rows], labels=images.labels[rows])


@torch.no_grad()
def _losses(net: IsolatedNetwork, x: Tensor, y: Tensor) -> list[float]:
    """Return the cross-entropy of every head, in eval mode: their differences are the gains."""
    net.eval()
    return [F.cross_entropy(scores, y).item() for scores in net.all_scores(x)]


def _look(net: IsolatedNetwork, rule: Rule, x: Tensor, y: Tensor) -> Row:
    """Measure in the mode in which the network is trained, on images that it is trained on."""
    budget = error_budget(net, rule, x, y, training=True)
    found = discord(net, x, y, training=True)
    return {
        "losses": _rounded(_losses(net, x, y)),
        "budget": _rounded([budget.discord, budget.penalty, budget.total, budget.cosine]),
    } | {name: _rounded(getattr(found, name)[1:].tolist())
         for name in ("relative", "cosine", "ratio")}  # fmt: skip


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _run(job: Job, method: str, lr: float, seed: int) -> tuple[Row, list[Row]]:
    setting: Regime = job.setting
    rule, schedule = _rule(_cell(method)[2]), replace(setting.schedule, lr=lr)
    data = DeviceImages(_drawn(job.sets["train"], setting.train, seed), job.device)
    x, y = data.at(slice(0, _LOOKED_AT))
    net = network(setting, method, x, seed)
    own = optimiser(net, schedule, x.device)
    count = len(data) // schedule.batch_size
    every, history, step = max(1, schedule.epochs // setting.looks), [], 0
    for epoch in range(1, schedule.epochs + 1):
        net.train()
        for batch in batches(data, schedule, 10, seed, epoch):
            set_rate(own, schedule, step, schedule.epochs * count)
            own.zero_grad()
            losses = rule.gradients(net, *batch)
            own.step()
            step += 1
        if not bool(torch.isfinite(losses).all()):
            raise TrainingError(f"{method}: a loss is not a number in epoch {epoch} at lr={lr:g}.")
        if epoch % every == 0:
            history.append({"epoch": epoch, **_look(net, rule, x, y)})
    scores = {"train": data} | {
        split: DeviceImages(job.sets[split], job.device, data.stats) for split in ("val", "test")
    }
    found = {
        name: _rounded(accuracy(net, images.in_order(_TEST_BATCH)).tolist())
        for name, images in scores.items()
    }
    row: Row = {f"{name}_accuracy": by_module[-1] for name, by_module in found.items()}
    return row | {"test_accuracy_by_module": found["test"], **history[-1]}, history


def _tuned(job: Job) -> tuple[Row, list[Row]]:
    """Return plain local learning's best rate in a job's cell: found once for all of its rules."""
    cell = job.method.partition("_")[0]
    place = job.partial.parent / f"{job.profile}-{cell}-rate"
    plain = replace(job, method=f"{cell}_local", partial=place)

    def judge(candidate: Row) -> float:
        seeds = range(TUNING_SEED, TUNING_SEED + job.setting.tuning_seeds)
        rows = [_run(job, plain.method, candidate["lr"], seed)[0] for seed in seeds]
        return round(float(np.mean([row["val_accuracy"] for row in rows])), 6)

    return tune(plain, [{"lr": rate} for rate in job.setting.rates], judge)


def _compared(job: Job) -> Outcome:
    chosen, tuning = _tuned(job)
    final, history = seed_by_seed(job, partial(_run, job, job.method, chosen["lr"]))
    return Outcome(history, final, sum(row["seconds"] for row in final), chosen, tuning)


def _methods(cells: tuple[str, ...], rules: str) -> tuple[str, ...]:
    """Return every rule in every cell; AugLocal's heads are trained ones."""
    return tuple(
        f"{cell}_{rule}"
        for cell in cells
        for rule in rules.split()
        if rule != "auglocal" or cell.endswith("trained")
    )


_NORMS = ("none", "batch", "group")
_TRAINED = tuple(f"{norm}-trained" for norm in _NORMS)
_FIXED = tuple(f"{norm}-{heads}" for norm in _NORMS for heads in ("fixed", "shared"))

# What the theory speaks of: gradient descent on all images at once, at a constant rate.
_DIGITS = Regime(
    data="digits",
    methods=(
        *_methods(_TRAINED[:1], "local bp sgr-0.3 sgr-1 sgr-3 sgr-10 zero-1 zero-3 shuffled-3"),
        *_methods(_TRAINED[:1], "auglocal sid"),
        *_methods(_TRAINED[1:], "local bp sgr-1 sgr-3 sgr-10 zero-3 shuffled-3 auglocal sid"),
        *_methods(_FIXED, "local bp sgr-1 sgr-3 sgr-10 zero-3 shuffled-3 sid"),
    ),
    widths=(16,) * 4,
    strides=(),
    train=200,
    schedule=Schedule(
        epochs=300,
        batch_size=200,
        lr=0.1,
        warmup=0.0,
        momentum=0.0,
        weight_decay=0.0,
        ends=(1.0, 1.0),
    ),
    rates=(0.1, 0.3, 0.6, 1.0),
)
_QUICK = replace(
    _DIGITS,
    methods=_methods(_TRAINED[:1], "local sgr-3 zero-3"),
    schedule=replace(_DIGITS.schedule, epochs=150),
    rates=(0.3,),
    looks=1,
)
SGR_REGIME_DIGITS = Experiment({"quick": _QUICK, "cpu": _DIGITS}, _compared, fewer_images)

# The same form of network on photographs, and convolutions on them.
_VECTORS = replace(
    _DIGITS,
    data="cifar10",
    methods=_methods(
        _TRAINED, "local bp sgr-0.1 sgr-0.3 sgr-1 zero-0.3 zero-1 shuffled-0.3 auglocal sid"
    ),
    widths=(64,) * 4,
    train=1_000,
    schedule=Schedule(epochs=40, batch_size=50, lr=0.1, weight_decay=0.0),
    rates=(0.01, 0.02, 0.05, 0.1),
    seeds=8,
    images=(10_000, 1_000, None),
)
SGR_REGIME_VECTORS = Experiment(
    {
        "quick": replace(_QUICK, data="shapes", train=50, images=(100, 60, 120), seeds=2,
                         schedule=replace(_VECTORS.schedule, epochs=4, batch_size=25)),
        "cpu": _VECTORS,
    },
    _compared,
    fewer_images,
)  # fmt: skip
_CPU = replace(
    _VECTORS,
    methods=_methods(
        (*_TRAINED, *_FIXED[:1]),
        "local sgr-0.01 sgr-0.03 sgr-0.1 zero-0.03 bp shuffled-0.03 auglocal sid",
    ),
    widths=(8, 16, 16, 32, 32, 32),
    strides=(2, 1, 2, 1, 2, 1),
    train=300,
    schedule=replace(_VECTORS.schedule, epochs=150),
    rates=(0.05, 0.1, 0.2),
    looks=5,
    seeds=4,
    tuning_seeds=1,
)
SGR_REGIME = Experiment(
    {
        "quick": replace(
            SGR_REGIME_VECTORS.profiles["quick"],
            methods=_methods(_TRAINED[1:2], "local sgr-0.03"),
            widths=(4, 4),
            strides=(2, 2),
        ),
        "cpu": _CPU,
        "gpu": replace(
            _CPU,
            widths=(16, 32, 32, 64, 64, 64),
            strides=(1, 2, 1, 2, 1, 1),
            train=1_000,
            schedule=replace(_VECTORS.schedule, epochs=120),
            rates=(0.05, 0.1, 0.2, 0.4),
            looks=24,
        ),
    },
    _compared,
    fewer_images,
)
