"""Where reconciliation helps: SGR and controls by norm, head, strength and modules, seed by seed.

All rules of a cell share plain local learning's best rate, the images and the weights they
start from, so that differences are paired. Every seed draws images of its own.
"""

import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import TrainingError
from localbook.experiments.comparisons.cells import Regime, cell_of, drawn, network, rule_of
from localbook.experiments.comparisons.side_by_side import hand_back, joined
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    rows_once,
    significant,
    tune,
)
from localbook.local import (
    IsolatedNetwork,
    Rule,
    Schedule,
    accuracy,
    batches,
    discord,
    error_budget,
    optimiser,
    set_rate,
)

_LOOKED_AT = 256  # training images on which gradients are compared
_TEST_BATCH = 512


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
    return [significant(value, 5) for value in values]


def _trained(job: Job, method: str, lr: float, seeds: list[int]) -> list[tuple[Row, list[Row]]]:
    """Train a method's networks, side by side, each on images of its own; return their rows."""
    setting: Regime = job.setting
    name = cell_of(method)[-1]
    rule, schedule = rule_of(name, setting.schedule)
    images = [DeviceImages(drawn(job.sets["train"], setting.train, s), job.device) for s in seeds]
    nets = [network(setting, method, d.at(slice(0, 2))[0], s)
            for d, s in zip(images, seeds, strict=True)]  # fmt: skip
    joint = joined(nets)
    # back-propagation takes the mean over all scores, those of the other networks too
    schedule = replace(schedule, lr=lr * (len(seeds) if name == "bp" else 1))
    own = optimiser(joint, schedule, images[0].labels.device)
    count = setting.train // schedule.batch_size
    every, step = max(1, schedule.epochs // setting.looks), 0
    histories: list[list[Row]] = [[] for _ in seeds]
    for epoch in range(1, schedule.epochs + 1):
        joint.train()
        streams = (batches(d, schedule, 10, s, epoch) for d, s in zip(images, seeds, strict=True))
        for parts in zip(*streams, strict=True):
            x, y = torch.cat([x for x, _ in parts], 1), torch.stack([y for _, y in parts], 1)
            set_rate(own, schedule, step, schedule.epochs * count)
            own.zero_grad()
            losses = rule.gradients(joint, x, y)
            own.step()
            step += 1
        if not bool(torch.isfinite(losses).all()):
            raise TrainingError(f"{method}: a loss is not a number in epoch {epoch} at lr={lr:g}.")
        if epoch % every == 0:
            hand_back(joint, nets)
            for net, data, history in zip(nets, images, histories, strict=True):
                history.append({"epoch": epoch} | _look(net, rule, *data.at(slice(0, _LOOKED_AT))))
    return [
        (_judged(job, net, data) | history[-1], history)
        for net, data, history in zip(nets, images, histories, strict=True)
    ]


def _judged(job: Job, net: IsolatedNetwork, data: DeviceImages) -> Row:
    sets = {"train": data} | {
        split: DeviceImages(job.sets[split], job.device, data.stats) for split in ("val", "test")
    }
    found = {
        name: _rounded(accuracy(net, images.in_order(_TEST_BATCH)).tolist())
        for name, images in sets.items()
    }
    row: Row = {f"{name}_accuracy": by_module[-1] for name, by_module in found.items()}
    return row | {"test_accuracy_by_module": found["test"]}


def _tuned(job: Job) -> tuple[Row, list[Row]]:
    """Return plain local learning's best rate in a job's cell: found once for all of its rules."""
    cell = job.method.partition("_")[0]
    place = job.partial.parent / f"{job.profile}-{cell}-rate"
    plain = replace(job, method=f"{cell}_local", partial=place)

    def judge(candidate: Row) -> float:
        seeds = range(TUNING_SEED, TUNING_SEED + job.setting.tuning_seeds)
        rows = _trained(job, plain.method, candidate["lr"], list(seeds))
        return round(float(np.mean([row["val_accuracy"] for row, _ in rows])), 6)

    return tune(plain, [{"lr": rate} for rate in job.setting.rates], judge)


def compared(job: Job) -> Outcome:
    """Train a rule's networks at plain local learning's best rate in their cell."""
    chosen, tuning = _tuned(job)
    start, size = time.perf_counter(), job.setting.together
    final: list[Row] = []
    history: list[Row] = []
    for place in range(0, len(job.seeds), size):
        seeds = job.seeds[place : place + size]
        for seed, (row, looks) in zip(seeds, _kept(job, chosen["lr"], seeds), strict=True):
            final.append({"seed": seed} | row)
            history += [{"seed": seed} | look for look in looks]
    return Outcome(history, final, time.perf_counter() - start, chosen, tuning)


def _kept(job: Job, lr: float, seeds: list[int]) -> list[tuple[Row, list[Row]]]:
    """Train the networks of some seeds, once: what an interrupted job has done is kept."""
    rows = rows_once(
        job,
        f"seeds{seeds[0]}-{seeds[-1]}",
        lambda: [{"row": row, "looks": looks}
                 for row, looks in _trained(job, job.method, lr, seeds)],
    )  # fmt: skip
    return [(kept["row"], kept["looks"]) for kept in rows]


def methods_of(cells: tuple[str, ...], rules: str) -> tuple[str, ...]:
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
_OWN_FIXED = tuple(f"{norm}-fixed" for norm in _NORMS)  # one for each module

# What the theory speaks of: gradient descent on all images at once, at a constant rate.
_DIGITS = Regime(
    data="digits",
    methods=(
        *methods_of(_TRAINED[:1], "local bp sgr-0.3 sgr-1 sgr-3 sgr-10 zero-1 zero-3 shuffled-3"),
        *methods_of(_TRAINED[:1], "auglocal sid"),
        *methods_of(_TRAINED[1:], "local bp sgr-1 sgr-3 sgr-10 zero-3 shuffled-3 auglocal sid"),
        # under GroupNorm 1 is too much already for some seeds
        *methods_of(_TRAINED[1:], "sgr-0.1 sgr-0.3 zero-0.3"),
        *methods_of(_FIXED, "local bp sgr-1 sgr-3 sgr-10 zero-3 shuffled-3 sid"),
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
    methods=methods_of(_TRAINED[:1], "local sgr-3 zero-3"),
    schedule=replace(_DIGITS.schedule, epochs=150),
    rates=(0.3,),
    looks=1,
)
SGR_REGIME_DIGITS = Experiment({"quick": _QUICK, "cpu": _DIGITS}, compared, fewer_images)

# The same form of network on photographs, and convolutions on them.
_VECTORS = replace(
    _DIGITS,
    data="cifar10",
    methods=methods_of(
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
    compared,
    fewer_images,
)  # fmt: skip
# Each seed's images are a thousand photographs, few enough for an hour of one core a cell. The last
# controls are usual ways against over-fitting, without a look at any gradient.
_RULES = "local sgr-0.1 zero-0.1 sgr-0.3 sgr-0.03 shuffled-0.1 bp auglocal sid"
_USUAL = "decay-0.001 decay-0.003 decay-0.01"
PHOTOGRAPHS = replace(
    _VECTORS,
    methods=(
        *methods_of((*_TRAINED, *_OWN_FIXED), _RULES),
        *methods_of(_TRAINED[:1], f"zero-0.3 {_USUAL} epochs-20 epochs-40"),
        *methods_of(("none-trained-1",), f"local {_USUAL}"),  # back-propagation at its own rate
    ),
    widths=(8, 16, 16, 32, 32, 32),
    strides=(2, 1, 2, 1, 2, 1),
    schedule=replace(_VECTORS.schedule, epochs=100),
    rates=(0.05, 0.1, 0.2, 0.4),
    looks=5,
    seeds=4,
    tuning_seeds=1,
    together=4,
)
_GPU = replace(
    PHOTOGRAPHS,
    widths=(16, 32, 32, 64, 64, 64),
    strides=(1, 2, 1, 2, 1, 1),
    schedule=replace(_VECTORS.schedule, epochs=120),
    looks=24,
)
PHOTOGRAPHS_QUICK = replace(
    SGR_REGIME_VECTORS.profiles["quick"],
    methods=methods_of(_TRAINED[1:2], "local sgr-0.03"),
    widths=(4, 4),
    strides=(2, 2),
)


def _of(train: int, epochs: int, methods: tuple[str, ...]) -> Experiment:
    """Return the same comparison on other numbers of images; of the longest, each seed is kept."""
    profiles = {
        name: replace(
            profile,
            methods=methods,
            train=train,
            schedule=replace(profile.schedule, epochs=epochs),
            images=(max(train, 10_000), 1_000, None),
            together=1 if train > 4_000 else 4,
        )
        for name, profile in (("cpu", PHOTOGRAPHS), ("gpu", _GPU))
    }
    return Experiment({"quick": PHOTOGRAPHS_QUICK} | profiles, compared, fewer_images)


SGR_REGIME = Experiment(
    {"quick": PHOTOGRAPHS_QUICK, "cpu": PHOTOGRAPHS, "gpu": _GPU}, compared, fewer_images
)
SGR_REGIME_300 = _of(300, 150, methods_of(_TRAINED[:1], "local sgr-0.1 zero-0.1 sgr-0.3 sgr-0.03"))
SGR_REGIME_4000 = _of(
    4_000,
    50,
    (
        *methods_of((*_TRAINED, *_OWN_FIXED), _RULES),
        *methods_of(_TRAINED[:1], f"zero-0.3 {_USUAL} epochs-10 epochs-20"),
        *methods_of(("none-trained-1",), "local"),
    ),
)
SGR_REGIME_45000 = _of(45_000, 20, methods_of(_TRAINED[:1], "local sgr-0.1 bp zero-0.1 sgr-0.3"))
