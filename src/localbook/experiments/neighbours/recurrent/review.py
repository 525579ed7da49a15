"""Recurrent networks that add and copy: cells and their gates, and time cut into segments."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, mse_loss

from localbook import neighbours
from localbook.arrays import Row
from localbook.data import Adding, Copying, SequenceTask
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    rows_once,
    seed_by_seed,
    significant,
    tune,
)
from localbook.fit import fit, mlp, seeded

rnn = neighbours.rnn_review


@dataclass(frozen=True)
class Way:
    """Which task, which network, and how it is trained.

    Attributes
    ----------
    task : str
        ``adding`` or ``copying``.
    cell, keep, frozen
        As in :class:`localbook.neighbours.rnn_review.Recurrent`.
    rule : str
        Of ``rnn_review.RULES``.
    wide : bool
        Twice as many units, which makes a tanh network about as large as an LSTM.
    """

    task: str
    cell: str
    rule: str = "bptt"
    keep: float = 0.0
    frozen: bool = False
    wide: bool = False


RECURRENT: Mapping[str, Way] = {
    **{
        f"{task}-{rule.replace(' ', '-')}": Way(task, "tanh", rule)
        for task in ("adding", "copying")
        for rule in rnn.RULES
    },
    "adding-wide": Way("adding", "tanh", wide=True),
    "adding-relu": Way("adding", "relu"),
    "adding-gru": Way("adding", "gru", keep=1.0),
    "adding-lstm": Way("adding", "lstm"),
    "adding-lstm-1": Way("adding", "lstm", keep=1.0),
    "adding-lstm-3": Way("adding", "lstm", keep=3.0),
    "adding-lstm-frozen": Way("adding", "lstm", frozen=True),
}
LAG = 3
XOR = {"past-forward": (-LAG, False), "future-forward": (LAG, False), "future-both": (LAG, True)}
"""By the method, of which bit the answer is, and whether the network reads both ways."""
WINDOWS = {"adding-window-segment": 1, "adding-window-all": 3}
"""Feed-forward networks on the last steps: how many segments."""
METHODS = (*RECURRENT, *WINDOWS, *XOR)


@dataclass(frozen=True)
class RecurrentSetting:
    """Tasks, networks and training at one profile.

    Attributes
    ----------
    T, length : int
        Steps of a sequence, and of a segment.
    units, steps, adding_steps, batch_size : int
        Steps are those of Adam to copy, and to add; its rate falls to zero over the second half.
    rates : tuple of float
        Among which every method chooses, by validation.
    weights, clips : tuple of float
        Of equal number: rules with a penalty choose λ as well, others where they clip.
    tuning_seeds : int
        How many networks judge a candidate.
    """

    seeds: int
    methods: tuple[str, ...] = METHODS
    T: int = 12
    length: int = 4
    units: int = 24
    steps: int = 200
    adding_steps: int = 600
    batch_size: int = 32
    rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    weights: tuple[float, ...] = (1.0, 5.0, 25.0)
    clips: tuple[float, ...] = (0.1, 1.0, 10.0)
    tuning_seeds: int = 1
    looks: int = 8

    def task(self, name: str, longer: int = 1) -> SequenceTask:
        """Return a task, or the same on longer sequences."""
        return (Copying if name == "copying" else Adding)(longer * self.T)


Pair = tuple[Tensor, Tensor]


def draw(setting: RecurrentSetting, seed: int) -> dict[str, Samples]:
    """Return test sequences of the adding task; the others are drawn where they are used."""
    x, y = setting.task("adding").draw(2000, torch.Generator().manual_seed(TUNING_SEED + 1))
    return {"test": Samples(x.transpose(0, 1), y, f"sequences of {setting.T} steps, drawn")}


@dataclass(frozen=True)
class Trial:
    """Networks of one way on their task, side by side; row r is the r-th's seed, rate and so on."""

    way: Way
    setting: RecurrentSetting
    rows: list[Row]

    @property
    def task(self) -> SequenceTask:
        """What is asked at the end."""
        return self.setting.task(self.way.task)

    def column(self, key: str, default: float) -> Tensor:
        """Return a number of every row, (R,)."""
        return torch.tensor([row.get(key, default) for row in self.rows])

    def network(self) -> Any:
        """Return the networks before training."""
        way, units = self.way, self.setting.units * (1 + self.way.wide)
        seeds = [1000 + row["seed"] for row in self.rows]  # a pilot had used the first ones
        sizes = self.task.inputs, units, self.task.outputs
        return rnn.Recurrent(way.cell, *sizes, seeds, keep=way.keep, frozen=way.frozen)

    def objective(self, net: Any, x: Tensor, y: Tensor, rule: str) -> Pair:
        """Return what a rule minimises, and the discord at the cuts."""
        how: Row = {"length": self.setting.length, "weight": self.column("weight", 0.0)}
        pair: Pair = rnn.objective(net, self.task, x, y, rule=rule, **how)
        return pair

    def train(self, net: Any) -> list[list[Row]]:
        """Train in place; return for each network its looks at sequences of no training."""
        setting, parameters = self.setting, list(net.parameters())
        steps = setting.adding_steps if self.way.task == "adding" else setting.steps
        draws = [torch.Generator().manual_seed(10_000 + row["seed"]) for row in self.rows]
        rate, clip = self.column("lr", 0.0), self.column("clip", 1.0)
        optimiser = torch.optim.Adam(parameters, lr=1.0)
        looks = [self.look(net, 0)]
        for step in range(1, steps + 1):
            drawn = [self.task.draw(setting.batch_size, draw) for draw in draws]
            x, y = (torch.stack(part) for part in zip(*drawn, strict=True))
            value, _ = self.objective(net, x, y, self.way.rule)
            found = grad(value.sum(), parameters, materialize_grads=True)
            shrink = (clip / flat(found).norm(dim=1)).clamp(max=1.0)
            before = [w.detach().clone() for w in parameters]
            for w, g in zip(parameters, found, strict=True):
                w.grad = g * shrink[:, None, None]
            optimiser.step()
            now = rate * min(1.0, 2 * (1 - step / steps))
            with torch.no_grad():  # that was Adam at rate 1: each network takes its share of it
                for w, old in zip(parameters, before, strict=True):
                    w.copy_(old + now[:, None, None] * (w - old))
            if step % (steps // setting.looks) == 0:
                looks.append(self.look(net, step))
        return [list(mine) for mine in zip(*looks, strict=True)]

    def look(self, net: Any, step: int) -> list[Row]:
        """Return each network's score, discord, and the cosine of its step and full descent."""
        x, y = self.drawn(256, TUNING_SEED)
        few = x[:, :, :64], y[:, :64]
        whole, own = (
            flat(grad(self.objective(net, *few, rule)[0].sum(), list(net.parameters())))
            for rule in ("bptt", self.way.rule)
        )
        discord = self.objective(net, *few, "sgr")[1].detach().mean(dim=1)
        found = scores(net, self.task, x, y), cosine_similarity(whole, own, dim=1), discord
        names = "score", "cosine", "discord"
        each = zip(*(map(rounded, column) for column in found), strict=True)
        return [{"step": step, **dict(zip(names, row, strict=True))} for row in each]

    def drawn(self, count: int, seed: int, longer: int = 1) -> Pair:
        """Return sequences and answers that all networks share, (1, T, N, d) and (1, N, ...)."""
        task = self.setting.task(self.way.task, longer)
        x, y = task.draw(count, torch.Generator().manual_seed(seed))
        return x[None], y[None]


def flat(found: tuple[Tensor, ...]) -> Tensor:
    """Return all numbers of each network, (R, P)."""
    return torch.cat([g.flatten(1) for g in found], dim=1)


def rounded(value: Any) -> float | None:
    """Return four digits, or None for what is not finite."""
    return significant(value, 4) if math.isfinite(value) else None


@torch.no_grad()
def scores(net: Any, task: SequenceTask, x: Tensor, y: Tensor) -> Tensor:
    """Return the score of each network, (R,)."""
    return task.score(net.read(net.end(x)), y.expand(len(net.U), *y.shape[1:]))


def run_recurrent(job: Job) -> Outcome:
    """Choose the rate, and λ or where to clip, by validation; train all seeds side by side."""
    way, setting = RECURRENT[job.method], job.setting
    penalised = way.rule in rnn.PENALTIES
    key, values = ("weight", setting.weights) if penalised else ("clip", setting.clips)
    candidates = [{"lr": lr, key: value} for lr in setting.rates for value in values]
    judges = [TUNING_SEED + i for i in range(setting.tuning_seeds)]

    def judged() -> list[Row]:
        trial = Trial(way, setting, [c | {"seed": seed} for c in candidates for seed in judges])
        last = [looks[-1]["score"] for looks in trial.train(trial.network())]
        return [
            {"candidate": c, "val_score": mean(last[i * len(judges) : (i + 1) * len(judges)])}
            for i, c in enumerate(candidates)
        ]

    tuning = rows_once(job, "tuning", judged)
    best = max(tuning, key=lambda row: row["val_score"])["candidate"]
    trial = Trial(way, setting, [best | {"seed": seed} for seed in job.seeds])

    def measured() -> list[Row]:
        start, net = time.perf_counter(), trial.network()
        few = trial.drawn(64, TUNING_SEED)
        lags = [rnn.by_lag(net, trial.task, *few)]
        looks = trial.train(net)
        lags.append(rnn.by_lag(net, trial.task, *few))
        found = []
        for longer in (1, 2):
            pair = trial.drawn(2000, TUNING_SEED + 1, longer)
            found.append(scores(net, setting.task(way.task, longer), *pair))
        seconds = round((time.perf_counter() - start) / len(job.seeds), 3)
        return [
            {
                "seed": seed,
                "test_score": rounded(found[0][r]),
                "test_twice": rounded(found[1][r]),
                "seconds": seconds,
                "looks": looks[r],
                "lags": [[rounded(g) for g in when[r]] for when in lags],
            }
            for r, seed in enumerate(job.seeds)
        ]

    rows = rows_once(job, f"seeds-{len(job.seeds)}", measured)
    kept = ("seed", "test_score", "test_twice", "seconds")
    return Outcome(
        [{key: row[key] for key in ("seed", "looks", "lags")} for row in rows],
        [{key: row[key] for key in kept} for row in rows],
        sum(row["seconds"] for row in rows),
        best,
        tuning,
        parameters=sum(w[0].numel() for w in trial.network().parameters()),
    )


def mean(values: list[Any]) -> float:
    """Return the mean, or -1 if a network diverged."""
    return -1.0 if None in values else round(sum(values) / len(values), 4)


class Tagger(nn.Module):
    """A tanh network, of one direction or two, that says at each step t: is x_t ≠ x_{t + lag}."""

    def __init__(self, units: int, seed: int, lag: int, both: bool) -> None:
        super().__init__()
        with seeded(seed):
            self.states = nn.RNN(1, units, batch_first=True, bidirectional=both)
            self.read = nn.Linear(units * (1 + both), 1)
        self.places = slice(None, -lag) if lag > 0 else slice(-lag, None)

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for each step that has an answer, (N, T - |lag|), of bits (N, T)."""
        out: Tensor = self.read(self.states(x[..., None])[0]).squeeze(-1)
        return out[:, self.places]


def window(setting: RecurrentSetting, seed: int, w: int) -> nn.Module:
    """Return a feed-forward network for the last w steps, about as large as the LSTM."""
    lstm = 4 * setting.units * (setting.units + 3) + setting.units + 1
    return nn.Sequential(nn.Flatten(), *mlp((2 * w, lstm // (2 * w + 2), 1), seed))


def run_plain(job: Job) -> Outcome:
    """Choose a rate and train networks that need no rule: windows, and taggers of bits."""
    setting, task = job.setting, job.setting.task("adding")

    def drawn(count: int, seed: int) -> Pair:
        generator = torch.Generator().manual_seed(seed)
        if job.method in XOR:
            bits = torch.randint(2, (count, setting.T), generator=generator).float()
            return bits, (bits[:, :-LAG] != bits[:, LAG:]).float()
        x, y = task.draw(count, generator)
        return x.transpose(0, 1)[:, -WINDOWS.get(job.method, 0) * setting.length :], y

    def score(seed: int, lr: float, test: Pair) -> float:
        if job.method in XOR:
            net: nn.Module = Tagger(setting.units, seed, *XOR[job.method])
        else:
            net = window(setting, seed, test[0].shape[1])
        x, y = drawn(setting.batch_size * setting.adding_steps, 10_000 + seed)
        loss = binary_cross_entropy_with_logits if job.method in XOR else mse_loss
        fit(net, x, y, epochs=1, batch_size=setting.batch_size, lr=lr, seed=seed, loss=loss)
        with torch.no_grad():
            out, y = net(test[0]), test[1]
        right = (out > 0) == (y > 0)
        return float(right.double().mean() if job.method in XOR else task.score(out[None], y[None]))

    best, tuning = tune(
        job,
        [{"lr": lr} for lr in setting.rates],
        lambda candidate: score(TUNING_SEED, candidate["lr"], drawn(256, TUNING_SEED)),
        score="val_score",
    )
    test = drawn(2000, TUNING_SEED + 1)

    def measured(seed: int) -> tuple[Row, list[Row]]:
        return {"test_score": rounded(score(seed, best["lr"], test))}, []

    return seed_by_seed(job, measured, best, tuning)


RNN_REVIEW = Experiment(
    {
        "quick": RecurrentSetting(
            seeds=2,
            methods=("adding-bptt", "adding-sgr", "adding-window-all", "future-both"),
            T=12,
            length=4,
            units=8,
            steps=20,
            adding_steps=20,
            rates=(0.005,),
            weights=(1.0,),
            clips=(1.0,),
            tuning_seeds=1,
            looks=2,
        ),
        "cpu": RecurrentSetting(seeds=10),
    },
    lambda job: run_recurrent(job) if job.method in RECURRENT else run_plain(job),
    draw=draw,
)
