"""Which units, groups and spaces of a module networks share, of one rule and of two."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

from localbook import local, neighbours
from localbook.arrays import Floats, Row
from localbook.data import DeviceImages, ImageSet
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    rounded,
    seed_by_seed,
    tune,
)

shared = neighbours.convergent_learning

RULES = {"bp": local.BP(), "local": local.PlainLocal(), "sgr": local.SGR(3.0, "squared")}
_NETS = 3  # of each rule and seed, from three starts
_PAIRS = ((0, 1), (1, 2), (2, 0))  # never from the same start


@dataclass(frozen=True)
class Setting:
    """Networks of two rules, three starts a seed, compared pair by pair and module by module.

    Attributes
    ----------
    methods : tuple of str
        Which two rules; ``untrained`` takes the same steps at a rate of zero, which moves nothing
        but the statistics of the norms.
    widths, strides : tuple of int
        Of :class:`localbook.local.ConvNet`.
    schedule : Schedule
        Its rate is replaced by the chosen one.
    rates : tuple of float
        Candidates, the same for all rules.
    idle : int
        Epochs at a rate of zero.
    counts : tuple of int
        Units that predict another.
    targets : int
        At most so many are predicted from few.
    draws : int
        Random rotations, and random clusters.
    units : int
        Of both networks, for each cluster.
    """

    data: str = "digits"
    seeds: int = 5
    methods: tuple[str, ...] = (
        "bp-bp",
        "local-local",
        "untrained-untrained",
        "bp-local",
        "sgr-sgr",
        "bp-sgr",
        "local-sgr",
    )
    widths: tuple[int, ...] = (16, 16, 32, 32)
    strides: tuple[int, ...] = (1, 1, 2, 1)
    schedule: local.Schedule = field(default_factory=lambda: local.Schedule(10, 64, 0.1))
    rates: tuple[float, ...] = (0.05, 0.1, 0.2)
    idle: int = 3
    counts: tuple[int, ...] = (1, 2, 4, 8)
    targets: int = 16
    draws: int = 5
    units: int = 8
    images: tuple[int | None, int | None, int | None] = (None, None, None)


@lru_cache(maxsize=128)
def trained(setting: Setting, rule: str, lr: float, seed: int, images: ImageSet) -> Any:
    """Return a network trained by a rule; methods that share it need not train it again."""
    net = local.ConvNet(setting.widths, setting.strides).build(
        images.images.shape[1], len(images.class_names), seed
    )
    schedule = replace(setting.schedule, lr=lr)
    if rule == "untrained":
        schedule = replace(schedule, epochs=setting.idle)
    on = DeviceImages(images)
    by = RULES.get(rule, RULES["bp"])
    local.train(net, by, on, on, schedule, seed=seed, measure_epochs=False)
    return net.eval()


def right(net: Any, images: DeviceImages) -> float:
    """Return the accuracy of the last head."""
    return float(local.accuracy(net, images.in_order(500))[-1])


def null(a: Tensor, b: Tensor, rng: np.random.Generator, draws: int) -> dict[str, Floats]:
    """Return correlations (draws, C) of partners where either layer is turned at random.

    ``one`` are those of the assignment, ``a`` and ``b`` the best of each unit, where what all units
    have in common stays; for ``free`` it is turned as well.
    """
    C, own_a, own_b = (shared.correlation(*two) for two in ((a, b), (a, a), (b, b)))
    rows: list[dict[str, Floats]] = []
    for _ in range(draws):
        kept, other = (shared.rotation(len(C), rng, keep_mean=True) for _ in range(2))
        to_b = shared.turned(C, own_b, kept)
        to_a = shared.turned(C.T, own_a, other)
        free = shared.turned(C, own_b, shared.rotation(len(C), rng))
        rows.append(
            {
                "one": shared.assigned(to_b),
                "free": shared.assigned(free),
                "a": to_b.max(axis=1),
                "b": to_a.max(axis=1),
            }
        )
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def compared(
    setting: Setting, a: Tensor, b: Tensor, rng: np.random.Generator
) -> tuple[Row, dict[str, Floats]]:
    """Return what two layers have in common, and the correlations of single units.

    Partners are found and measured on every second image. Predictions are fitted there, and
    measured on the others.
    """
    fit = np.arange(len(a)) % 2 == 0
    x, y = a[fit], b[fit]
    of = null(x, y, rng, setting.draws)
    one = local.match_neurons(x, y).correlation.numpy()
    best = [shared.semi_match(*pair).correlation.numpy() for pair in ((x, y), (y, x))]
    floor = np.quantile(np.concatenate([of["a"], of["b"]], axis=None), 0.95)
    row: Row = {
        "one": one.mean(),
        "one_rotated": of["one"].mean(),
        "one_free": of["free"].mean(),
        "semi": np.mean(best),
        "semi_rotated": np.mean([of["a"], of["b"]]),
        "reliable": np.mean(np.concatenate(best) > floor),
        "cka": local.linear_cka([a], [b], debiased=True).item(),
        "dead": int((~shared.live(x)).sum() + (~shared.live(y)).sum()),
    }
    turned = shared.rotated(a, shared.rotation(a.shape[1], rng, keep_mean=True))
    for name, m in (("", shared.moments(a, b, fit)), ("_rotated", shared.moments(turned, b, fit))):
        some = m.sides[1][: setting.targets]
        few = shared.sparse(m, m.sides[0], some, setting.counts).mean(axis=0)
        row["sparse" + name] = [*few, shared.r2(m, m.sides[0], some).mean()]
        row["all" + name] = [shared.r2(m, *two).mean() for two in (m.sides, m.sides[::-1])]
        labels = shared.clusters(m, len(m.fit) // setting.units, int(rng.integers(2**31)))
        by_chance = [
            shared.within(m, shared.reassigned(m, labels, rng)) for _ in range(setting.draws)
        ]
        row["cluster" + name] = shared.within(m, labels).mean()
        row["cluster_best" + name] = shared.within(m, labels, best_only=True).mean()
        row["cluster_random" + name] = np.mean(by_chance)
    units = {"one": one, "one_rotated": np.sort(of["one"], axis=1).mean(axis=0)}
    units |= {"a": best[0], "b": best[1]}
    units |= {f"{s}_rotated": of[s].mean(axis=0) for s in "ab"}
    return row, units


def again(found: Sequence[dict[str, Floats]], name: str) -> float:
    """Return whether a unit with a good partner in one network has one in another, too.

    The rank correlation over a network's units, mean over the three networks: each is the first of
    one pair and the second of the pair before.
    """
    ranks = [
        spearmanr(found[i]["a" + name], found[i - 1]["b" + name]).statistic for i in range(_NETS)
    ]
    return float(np.mean(ranks))


def run(job: Job) -> Outcome:
    """Choose each rule's rate on the validation split, train three networks of each, compare."""
    setting: Setting = job.setting
    images = job.sets["train"]
    stats = DeviceImages(images).stats
    val, test = (DeviceImages(job.sets[s], stats=stats) for s in ("val", "test"))
    x = test.at(slice(None))[0]
    sides = job.method.split("-")
    chosen, tuning = {"untrained": 0.0}, []
    for rule in sorted(set(sides) - {"untrained"}):

        def judged(candidate: Row, rule: str = rule) -> float:
            return right(trained(setting, rule, candidate["lr"], TUNING_SEED, images), val)

        best, rows = tune(job, [{"lr": lr} for lr in setting.rates], judged, name=rule)
        chosen[rule] = best["lr"]
        tuning += [row | {"rule": rule} for row in rows]

    def measured(seed: int) -> tuple[Row, list[Row]]:
        rng = np.random.default_rng([seed, 1])
        nets = {
            (rule, i): trained(setting, rule, chosen[rule], _NETS * seed + i, images)
            for rule in dict.fromkeys(sides)
            for i in range(_NETS)
        }
        layers = {key: local.activations(net, x)[1:] for key, net in nets.items()}
        pairs = [(layers[sides[0], i], layers[sides[1], j]) for i, j in _PAIRS]
        row: Row = {"test_accuracy": rounded(np.mean([right(net, test) for net in nets.values()]))}
        modules, history = [], []
        for depth in range(len(setting.widths)):
            both = [compared(setting, a[depth], b[depth], rng) for a, b in pairs]
            rows, found = [r for r, _ in both], [f for _, f in both]
            means = {key: np.mean([r[key] for r in rows], axis=0).tolist() for key in rows[0]}
            if sides[0] == sides[1]:
                means |= {"again": again(found, ""), "again_rotated": again(found, "_rotated")}
            modules.append(means)
            first = {key: np.sort(found[0][key])[::-1].tolist() for key in ("one", "one_rotated")}
            history.append({"module": depth + 1} | {key: rounded(of) for key, of in first.items()})
        return row | {key: rounded([m[key] for m in modules]) for key in modules[0]}, history

    used = {rule: chosen[rule] for rule in dict.fromkeys(sides)}
    return seed_by_seed(job, measured, used, tuning)


CONVERGENT_LEARNING = Experiment(
    {
        "quick": Setting(
            seeds=2,
            widths=(6, 8),
            strides=(1, 2),
            schedule=local.Schedule(2, 50, 0.1),
            rates=(0.1,),
            idle=1,
            counts=(1, 2),
            draws=2,
            units=4,
            images=(200, 50, 80),
        ),
        "cpu": Setting(),
    },
    run,
    fewer_images,
)
"""Networks of back-propagation, local learning and SGR, and untrained ones, on digits."""
