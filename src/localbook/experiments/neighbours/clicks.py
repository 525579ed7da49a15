"""Streams, gates and fusion beside their rivals, on drawn clicks and on MovieLens-100k."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from localbook import neighbours
from localbook.arrays import Indices, Row
from localbook.errors import ConfigError
from localbook.experiments.harness import TUNING_SEED, Experiment, Job, Outcome, seed_by_seed, tune
from localbook.fit import seeded
from localbook.local import linear_cka

finalmlp = neighbours.finalmlp
Clicks = neighbours.finalmlp.Clicks

METHODS = (
    "logistic", "fm", "dcn", "mlp", "dual", "gated", "fused", "final", "rolled", "towers",
    "towers-fused",
)  # fmt: skip
_FEW = 1000  # rows whose streams' outputs are compared


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What both experiments have in common.

    Attributes
    ----------
    seeds, methods
        The methods are of ``METHODS``.
    dim, widths, dropout
        D, the hidden neurons of two streams (one MLP has their sum), and the dropout of all.
    epochs, batch_size : int
    rates, l2s, heads : tuple
        The candidates: learning rates, penalties of the embeddings, heads of a fusion. Logistic
        regression and FM, whose embeddings are all they have, get 5 and 0.01 times the former two.
    gammas : tuple
        Of the click model; MovieLens has none.
    """

    seeds: int = 10
    methods: tuple[str, ...] = METHODS
    dim: int = 4
    widths: tuple[int, int] = (16, 32)
    dropout: float = 0.0
    epochs: int = 10
    batch_size: int = 500
    rates: tuple[float, ...] = (0.003, 0.01)
    l2s: tuple[float, ...] = (1e-4,)
    heads: tuple[int, ...] = (4,)
    gammas: tuple[float | None, ...] = (None,)

    def data(self, gamma: float | None, seed: int) -> dict[str, Any]:
        """Return the splits of one seed at one γ."""
        raise NotImplementedError

    @property
    def sides(self) -> tuple[list[int], list[int]]:
        """The fields of the user, and those of the item."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class DrawnClicks(Fitting):
    """Clicks of a model with ``pairs`` products, by its numbers of rows, pairs and levels."""

    rows: tuple[int, int, int] = (10_000, 5_000, 20_000)
    pairs: int = 8
    levels: int = 5
    gammas: tuple[float | None, ...] = (0.0, 1.0, 2.0)
    methods: tuple[str, ...] = tuple(m for m in METHODS if m not in ("dcn", "gated"))

    def data(self, gamma: float | None, seed: int) -> dict[str, Any]:
        """Return fresh splits: another seed has other effects and strengths, too."""
        rows = dict(zip(("train", "val", "test"), self.rows, strict=True))
        return finalmlp.click_model(
            rows, pairs=self.pairs, levels=self.levels, gamma=gamma or 0.0, seed=seed
        )

    @property
    def sides(self) -> tuple[list[int], list[int]]:
        """The first half of the fields is the user's."""
        return list(range(self.pairs)), list(range(self.pairs, 2 * self.pairs))


@dataclass(frozen=True, kw_only=True)
class MovieLens(Fitting):
    """MovieLens-100k: a click is a rating of four stars or five."""

    dim: int = 8
    widths: tuple[int, int] = (20, 40)
    dropout: float = 0.2
    epochs: int = 6
    batch_size: int = 1000
    rates: tuple[float, ...] = (0.002, 0.004)
    l2s: tuple[float, ...] = (1e-3, 5e-3)
    heads: tuple[int, ...] = (10,)
    methods: tuple[str, ...] = METHODS[:8]

    def data(self, gamma: float | None, seed: int) -> dict[str, Any]:
        """Return a random split 8:1:1; ``val`` is the same for all seeds and never tested on."""
        x, y, sizes, source = movielens()
        place = np.random.default_rng(0).permutation(len(x))
        tenth = len(x) // 10
        rest = np.random.default_rng([seed, 1]).permutation(place[tenth:])
        parts = {"train": rest[tenth:], "val": place[:tenth], "test": rest[:tenth]}
        return {
            split: Clicks(torch.tensor(x[part]), torch.tensor(y[part]).float(), sizes, source)
            for split, part in parts.items()
        }

    @property
    def sides(self) -> tuple[list[int], list[int]]:
        """Id, age, sex, occupation and region; and id, year and genres."""
        return [0, 1, 2, 3, 4], [5, 6, 7]


def movielens() -> tuple[Indices, Indices, tuple[int, ...], str]:
    """Return rows (N, 8), clicks (N,), the fields' sizes and the source, from the package recbole.

    Its licence forbids to pass the data on, so they are read where they are installed.
    """
    found = find_spec("recbole")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            "MovieLens-100k is read from the package recbole; `pip install --no-deps recbole`."
        )
    return _movielens(Path(found.submodule_search_locations[0], "dataset_example", "ml-100k"))


@cache
def _movielens(folder: Path) -> tuple[Indices, Indices, tuple[int, ...], str]:
    users, items, ratings = (
        _table(folder / f"ml-100k.{kind}") for kind in ("user", "item", "inter")
    )
    of_user = {u: (u, int(age) // 10, sex, job, code[0]) for u, age, sex, job, code in users}
    of_item = {i: (i, year, genres) for i, _, year, genres in items}
    rows = [(*of_user[u], *of_item[i]) for u, i, *_ in ratings]
    columns = [
        np.unique(np.array(column, dtype=str), return_inverse=True)
        for column in zip(*rows, strict=True)
    ]
    y = np.array([float(stars) >= 4 for _, _, stars, _ in ratings], dtype=np.intp)
    x = np.stack([codes for _, codes in columns], axis=1)
    source = f"MovieLens-100k as in recbole {version('recbole')}, {len(x):,} ratings"
    return x, y, tuple(len(values) for values, _ in columns), source


def _table(path: Path) -> list[list[str]]:
    """Return the rows of a table with tabs, without its header."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def build(setting: Fitting, method: str, sizes: Sequence[int], heads: int, seed: int) -> nn.Module:
    """Return a method's network, initialised by the seed."""
    sides = setting.sides
    extra: dict[str, dict[str, Any]] = {
        "dcn": {"cross": 2},
        "gated": {"gates": sides},
        "fused": {"heads": heads},
        "final": {"gates": sides, "heads": heads},
        "rolled": {"heads": heads, "rolled": True},
        "towers": {"towers": sides},
        "towers-fused": {"towers": sides, "heads": heads},
    }
    with seeded(seed):
        if method in ("logistic", "fm"):
            return finalmlp.FM(sizes, setting.dim if method == "fm" else 0)
        widths = [sum(setting.widths)] if method in ("mlp", "dcn") else setting.widths
        return finalmlp.Streams(
            sizes, setting.dim, widths, dropout=setting.dropout, **extra.get(method, {})
        )


def _trained(job: Job, splits: dict[str, Any], chosen: Row, seed: int) -> tuple[nn.Module, Row]:
    setting = job.setting
    net = build(setting, job.method, splits["train"].sizes, chosen["heads"], seed)
    with seeded(seed):  # dropout
        epoch, score = finalmlp.train(
            net, splits, epochs=setting.epochs, batch_size=setting.batch_size, lr=chosen["lr"],
            l2=chosen["l2"], seed=seed,
        )  # fmt: skip
    return net, {"epoch": epoch, "val_auc": round(score, 6)}


def _judged(job: Job, splits: dict[str, Any], candidate: Row) -> float:
    return float(_trained(job, splits, candidate, TUNING_SEED)[1]["val_auc"])


def measured(job: Job, gamma: float | None, chosen: Row, seed: int) -> Row:
    """Train one network and return its row: AUC and log loss, the truth's, and how alike o_s are.

    ``alike`` is the unbiased CKA of two streams' outputs.
    """
    splits = job.setting.data(gamma, seed)
    net, row = _trained(job, splits, chosen, seed)
    test = splits["test"]
    y, logit = test.y.double().numpy(), finalmlp.logits(net, test)
    row |= {
        "gamma": gamma,
        "test_auc": round(finalmlp.auc(logit, y), 6),
        "log_loss": round(finalmlp.log_loss(logit, y), 6),
    }
    if test.logit is not None:
        row["bayes_auc"] = round(finalmlp.auc(test.logit, y), 6)
        row["bayes_log_loss"] = round(finalmlp.log_loss(test.logit, y), 6)
    if isinstance(net, finalmlp.Streams) and len(net.streams) == 2 and job.method != "dcn":
        with torch.no_grad():
            o1, o2 = net.outputs(test.x[:_FEW])
            row["alike"] = round(float(linear_cka([o1], [o2], debiased=True)), 4)
    return row


def compared(job: Job) -> Outcome:
    """Choose rate, penalty and heads at every γ on data of another seed, then run all seeds."""
    setting, tuning = job.setting, []
    fused = job.method in ("fused", "final", "rolled", "towers-fused")
    fast, weak = (5, 0.01) if job.method in ("logistic", "fm") else (1, 1)
    candidates = [
        {"lr": fast * lr, "l2": weak * l2, "heads": heads}
        for lr, l2, heads in product(
            setting.rates, setting.l2s, setting.heads if fused else setting.heads[:1]
        )
    ]
    chosen = {}
    for gamma in setting.gammas:
        judge = partial(_judged, job, setting.data(gamma, TUNING_SEED))
        chosen[gamma], rows = tune(job, candidates, judge, name=f"gamma {gamma}-", score="val_auc")
        tuning += [{"gamma": gamma} | row for row in rows]

    def measure(seed: int) -> tuple[Row, list[Row]]:
        rows = [measured(job, gamma, chosen[gamma], seed) for gamma in setting.gammas]
        return {k: rows[-1][k] for k in ("test_auc", "log_loss")}, rows

    net = build(setting, job.method, job.sets["test"].sizes, candidates[-1]["heads"], 0)
    count = sum(p.numel() for p in net.parameters())
    by_gamma = {str(gamma): row for gamma, row in chosen.items()}
    return seed_by_seed(job, measure, by_gamma, tuning, count)


def draw(setting: Fitting, seed: int) -> dict[str, Any]:
    """Return the splits of one seed, at the last γ."""
    return setting.data(setting.gammas[-1], seed)


FINALMLP = Experiment(
    {
        "quick": DrawnClicks(
            seeds=2,
            methods=("logistic", "mlp", "dual", "fused", "towers", "towers-fused"),
            rows=(6000, 2000, 4000),
            rates=(0.01,),
            epochs=6,
            gammas=(0.0, 2.0),
        ),
        "cpu": DrawnClicks(),
    },
    compared,
    draw=draw,
)
"""On drawn clicks, whose best possible prediction is known."""

FINALMLP_MOVIELENS = Experiment({"cpu": MovieLens()}, compared, draw=draw)
"""On ratings that users of the package recbole have installed."""
