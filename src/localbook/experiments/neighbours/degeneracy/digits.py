"""What modules' own heads misvalue on digits, and how sparsely layers interact, by rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Floats, Row
from localbook.data import DeviceImages
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
from localbook.fit import seeded
from localbook.local import BP, SGR, IsolatedNetwork, PlainLocal, Rule, Schedule, activations, train

degeneracy = neighbours.degeneracy

BASES: Mapping[str, dict[str, bool]] = {
    "interaction": {},
    "principal": {"M": False},
    "gradients": {"G": False},
    "neurons": {"G": False, "M": False},
    "rotated": {"G": False, "M": False},
}
"""How :func:`localbook.neighbours.degeneracy.basis` is called."""


@dataclass(frozen=True)
class Digits:
    """Perceptrons on images whose layers are modules.

    Attributes
    ----------
    widths : tuple of int
        Of the modules, each a linear layer and a ReLU, with a linear head.
    methods : tuple of str
        ``strong`` is SGR with the largest of the weights; ``untrained`` is not trained at all.
    rates, weights : tuple of float
        Candidates: of all methods, and of SGR's λ.
    """

    data: str = "digits"
    seeds: int = 10
    methods: tuple[str, ...] = ("bp", "local", "sgr", "strong", "untrained")
    widths: tuple[int, ...] = (32, 32, 32)
    schedule: Schedule = field(
        default_factory=lambda: Schedule(epochs=30, batch_size=64, lr=0.003, optimiser="adamw")
    )
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    weights: tuple[float, ...] = (1.0, 10.0, 100.0)
    images: tuple[int | None, int | None, int | None] = (None, None, None)


def chain(setting: Digits, inputs: int, classes: int, seed: int) -> IsolatedNetwork:
    """Return the modules and their heads."""
    with seeded(seed):
        sizes = zip((inputs, *setting.widths), setting.widths, strict=False)
        modules = [nn.Sequential(nn.Flatten(), nn.Linear(*size), nn.ReLU()) for size in sizes]
        return IsolatedNetwork(modules, [nn.Linear(width, classes) for width in setting.widths])


def rule(method: str, weight: float) -> Rule:
    """Return the rule of a method."""
    return {"bp": BP(), "local": PlainLocal()}.get(method) or SGR(weight)


def digits(job: Job) -> Outcome:
    """Choose rate and λ on the validation split, then train and look, seed by seed."""
    setting: Digits = job.setting
    train_set = DeviceImages(job.sets["train"])
    held, test = (DeviceImages(job.sets[s], stats=train_set.stats) for s in ("val", "test"))
    (x, _), (new, y) = (images.at(slice(None)) for images in (train_set, test))
    sizes = x[0].numel(), len(job.sets["train"].class_names)

    def fitted(net: IsolatedNetwork, seed: int, candidate: Row, on: DeviceImages) -> Row:
        by = rule(job.method, candidate.get("weight", 0.0))
        schedule = replace(setting.schedule, lr=candidate["lr"])
        return train(net, by, train_set, on, schedule, seed=seed, measure_epochs=False)[-1]

    def judged(candidate: Row) -> float:
        net = chain(setting, *sizes, TUNING_SEED)
        return float(fitted(net, TUNING_SEED, candidate, held)["accuracy"][-1])

    weights = {"sgr": setting.weights, "strong": setting.weights[-1:]}.get(job.method, ())
    more: list[Row] = [{"weight": w} for w in weights] or [{}]
    rates = setting.rates if job.method != "untrained" else setting.rates[:1]
    chosen, tuning = tune(job, [{"lr": lr} | w for lr in rates for w in more], judged)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        net = chain(setting, *sizes, seed)
        last = {} if job.method == "untrained" else fitted(net, seed, chosen, test)
        net = net.double()
        row: Row = {"test_accuracy": rounded(_right(net, new.double(), y))}
        row |= {"heads": last.get("accuracy"), "discord": last.get("discord")}
        return row, looked(net, x.double(), new.double(), y, seed)

    return seed_by_seed(job, measured, chosen, tuning)


def looked(net: IsolatedNetwork, x: Tensor, new: Tensor, y: Tensor, seed: int) -> list[Row]:
    """Return a row for each module but the last: what its head misvalues, and how it is read.

    ``lost`` is what taking one feature out of new images costs the own head and the last one in
    accuracy: the one most overvalued, the most undervalued, and the mean of ten random ones.
    ``edges`` are effective numbers of interactions with the next module, in all and for each of
    its features, and ``kept`` the numbers of features, by basis.
    """
    here, there = activations(net, x), activations(net, new)
    after = [nn.Sequential(*net.local_modules[n:], net.heads[-1]) for n in range(len(net) + 1)]
    slopes = [_slopes(rest, f) for rest, f in zip(after, here, strict=True)]
    rng, rows = np.random.default_rng(seed), []
    for n in range(1, len(net)):
        readers = (net.heads[n - 1], after[n])
        found = degeneracy.misvalued(here[n], _slopes(readers[0], here[n]), slopes[n])
        all_of_them = np.eye(r := len(found.values))
        draws = np.linalg.qr(rng.normal(size=(r, min(r, 10))))[0].T
        out = {"over": all_of_them[:1], "under": all_of_them[-1:], "random": draws}
        _, J = degeneracy.jacobian(net.local_modules[n], here[n])
        edges, kept = sparsity((here[n], slopes[n]), (here[n + 1], slopes[n + 1]), J, rng)
        row: Row = {"module": n, "distance": rounded(np.abs(found.values).sum() / 2)}
        row["excess"] = [rounded(v) for v in found.values[[0, -1]]]
        row["lost"] = {
            name: [
                rounded(np.mean([_lost(of, there[n], y, found, u) for u in some])) for of in readers
            ]
            for name, some in out.items()
        }
        rows.append(row | {"edges": edges, "kept": kept})
    return rows


def _slopes(of: nn.Module, f: Tensor) -> Tensor:
    """Return the Jacobians of scores without their mean, which no softmax shows."""
    _, J = degeneracy.jacobian(of, f)
    return J - J.mean(1, keepdim=True)


def _lost(of: nn.Module, f: Tensor, y: Tensor, basis: Any, u: Floats) -> float:
    """Return the accuracy lost without the direction u of a basis' features."""
    part = torch.tensor(np.outer(basis.features(f) @ u, basis.back @ u))
    return _right(of, f, y) - _right(of, f - part, y)


@torch.no_grad()
def _right(of: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((of(x).argmax(1) == y).double().mean())


Layer = tuple[Tensor, Tensor]
"""Activations (N, d) and the scores' Jacobians by them (N, c, d)."""


def sparsity(lower: Layer, upper: Layer, J: Tensor, rng: np.random.Generator) -> tuple[Row, Row]:
    """Return effective numbers of interactions between two layers, and of features, by basis."""
    edges, kept = {}, {}
    for name, how in BASES.items():
        mix = []
        for f, _ in (lower, upper):
            one, turned = np.eye(f.shape[1]), rng.normal(size=(f.shape[1], f.shape[1]))
            mix.append(torch.tensor(np.linalg.qr(turned)[0] if name == "rotated" else one))
        below, above = (
            degeneracy.basis(f @ Q.T, slopes @ Q.T, **how)
            for (f, slopes), Q in zip((lower, upper), mix, strict=True)
        )
        P, Q = mix
        E = degeneracy.interactions(below, above, lower[0] @ P.T, Q @ J @ P.T)
        each = degeneracy.effective_number(E).mean(), degeneracy.effective_number(E.ravel())
        edges[name] = [round(float(n), 3) for n in each[::-1]]
        kept[name] = [len(below.values), len(above.values)]
    return edges, kept


DIGITS = Experiment(
    {
        "quick": Digits(
            seeds=2,
            schedule=Schedule(epochs=4, batch_size=64, lr=0.003, optimiser="adamw"),
            rates=(0.003,),
            weights=(10.0,),
            images=(300, 100, 200),
        ),
        "cpu": Digits(),
    },
    digits,
    fewer_images,
)
