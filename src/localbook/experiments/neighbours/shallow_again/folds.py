"""The control that needs depth: functions that fold an interval."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from localbook import neighbours
from localbook.arrays import Row
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    seed_by_seed,
    significant,
)
from localbook.experiments.neighbours.shallow_again.depths import METHODS, chosen_rates
from localbook.fit import fit

shallow = neighbours.shallow_again


@dataclass(frozen=True)
class FoldSetting:
    """Functions of one variable with 2^m pieces, at one profile; rates as in the other setting."""

    folds: tuple[int, ...] = (2, 4)
    seeds: int = 10
    methods: tuple[str, ...] = ("sequential", "parallel")
    depth: int = 6
    width: int = 16
    steps: int = 400
    rates: tuple[float, ...] = (0.002, 0.006, 0.02)


def draw_folds(setting: FoldSetting, seed: int) -> dict[str, Samples]:
    """Return inputs (N, 1) in [-1, 1] and the folded values (N, m), from 0 to 1."""
    splits = {}
    for split, shift in {"train": 0.0, "val": 1 / 3, "test": 2 / 3}.items():
        x = (2 * (torch.arange(512, dtype=torch.float64) + shift) / 512 - 1)[:, None]
        with torch.no_grad():
            folded = [1 - 2 ** (m - 1) * (1 - shallow.fold(m)(x)) for m in setting.folds]
        splits[split] = Samples(x.float(), torch.cat(folded, dim=1).float(), "folds of [-1, 1]")
    return splits


def on_folds(job: Job) -> Outcome:
    """Fit each function: the mean squared error as a share of the variance."""
    setting: FoldSetting = job.setting
    splits = job.splits(0)
    layout = METHODS[job.method].layout

    def left(m: int, seed: int, split: str, *, lr: float) -> float:
        net = shallow.network(
            (1,), 1, layout, depth=setting.depth, width=setting.width, kernel=None, seed=seed
        )
        at = setting.folds.index(m)
        y, new = (splits[name].y[:, at : at + 1] for name in ("train", split))
        how: Any = {"steps": setting.steps, "batch_size": 128, "lr": lr, "seed": seed}
        fit(net, splits["train"].x, y, loss=F.mse_loss, **how)
        with torch.no_grad():
            return float(F.mse_loss(net(splits[split].x), new) / new.var())

    def score(m: int, candidate: Row) -> float:
        return round(math.exp(-left(m, TUNING_SEED, "val", **candidate)), 6)

    chosen, tuning = chosen_rates(job, "folds", setting.folds, score)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        found = {m: left(m, seed, "test", lr=chosen[str(m)]) for m in setting.folds}
        return {f"left_{m}": significant(value, 4) for m, value in found.items()}, []

    return seed_by_seed(job, measured, {"lr": chosen}, tuning)


SHALLOW_AGAIN_FOLDS = Experiment(
    {"quick": FoldSetting((2,), seeds=2, steps=50, rates=(0.006,)), "cpu": FoldSetting()},
    on_folds,
    draw=draw_folds,
)
