"""N2N's policies beside random search, evolution and greedy removal, in tables of all students."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np
import torch

from localbook import neighbours, runs
from localbook.arrays import Floats, Row
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    Samples,
    seed_by_seed,
    tune,
)
from localbook.experiments.neighbours.n2n.students import CHOICES, table

n2n = neighbours.n2n


@dataclass(frozen=True)
class N2NSetting:
    """Searches in the recorded tables, at one profile.

    Attributes
    ----------
    seeds : int
        Searches of each method; seed s has the teacher s modulo their number.
    methods : tuple of str
    tables : str
        The profile of the students' records.
    looks : tuple of int
        After how many students a search is looked at: multiples of 10.
    rates : tuple of float
        Candidates of the policies' learning rate; all methods choose on a small teacher's table.
    tuning_seeds : int
    pretraining : int
        Students of the small teacher that a policy sees before it is transferred.
    """

    seeds: int = 10
    methods: tuple[str, ...] = ()
    tables: str = "cpu"
    looks: tuple[int, ...] = (20, 50, 100, 200)
    rates: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1)
    tuning_seeds: int = 10
    pretraining: int = 100


class SpentError(Exception):
    """No student is left to be trained."""


@dataclass
class Trial:
    """Trains students of one teacher until so many are spent, and keeps what came out."""

    table: n2n.Table
    teacher: int
    seed: int
    students: int
    tried: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.train = self.table.training(self.teacher, self.seed)

    def __call__(self, actions: n2n.Actions) -> float:
        """Return the reward of one training of a student."""
        if len(self.tried) == self.students:
            raise SpentError
        self.tried.append(self.table.number(actions))
        self.rewards.append(self.train(actions))
        return self.rewards[-1]

    @property
    def best(self) -> int:
        """The student with the highest reward so far."""
        return self.tried[int(np.argmax(self.rewards))]


def random_search(trial: Trial, rng: np.random.Generator, how: Row) -> None:
    """Train students in a random order, none twice before all were trained."""
    while True:
        for row in rng.permutation(len(trial.table.actions)):
            trial(trial.table.actions[row])


def greedy(trial: Trial, rng: np.random.Generator, how: Row) -> None:
    """Remove a layer, or shrink one by a step, whichever is best; from the top again at the end."""
    while True:
        now = trial.table.actions[-1].copy()
        while now.any():
            moves = sorted({(i, to) for i in np.flatnonzero(now) for to in (0, now[i] - 1)})
            found = [trial(np.where(np.arange(len(now)) == i, to, now)) for i, to in moves]
            i, to = moves[int(np.argmax(found))]
            now[i] = to


def evolution(trial: Trial, rng: np.random.Generator, how: Row) -> None:
    """Ageing evolution: the best of a few of the population has a child, and the oldest leaves."""
    k, L = len(trial.table.choices), trial.table.actions.shape[1]
    population: deque[tuple[float, list[int]]] = deque(maxlen=how["population"])
    while True:
        child = [int(rng.integers(k)) for _ in range(L)]
        if len(population) == how["population"]:
            some = rng.permutation(len(population))[: how["sample"]]
            child = max(population[i] for i in some)[1].copy()
            i = int(rng.integers(L))
            child[i] = (child[i] + int(rng.integers(1, k))) % k
        population.append((trial(child), child))


def in_stages(trial: Trial, rng: np.random.Generator, how: Row) -> None:
    """Half of the students to remove layers; the best of them is shrunk with the other half."""
    full, L = len(CHOICES) - 1, trial.table.actions.shape[1]
    widths, half, seed = trial.table.widths[1:-1], trial.students // 2, trial.seed

    def stage(policy: n2n.Policy, k: int, of: Sequence[int], train: n2n.Evaluate) -> None:
        if how["random"]:
            for actions in rng.integers(k, size=(half, len(of))):
                train(actions)
        else:
            n2n.reinforce(policy, of, train, students=half, lr=how["lr"], seed=seed)

    stage(n2n.Removal(seed), 2, widths, lambda a: trial([full * i for i in a]))
    left = trial.table.actions[trial.best]
    kept = np.flatnonzero(left)

    def shrunk(actions: n2n.Actions) -> float:
        student = np.zeros(L, dtype=int)
        student[kept] = [CHOICES.index(n2n.FACTORS[a]) for a in actions]
        return trial(student)

    if len(kept):
        stage(n2n.Shrinkage(seed), len(n2n.FACTORS), [widths[i] for i in kept], shrunk)


def scrambled(table: n2n.Table, seed: int) -> n2n.Table:
    """Return a table in which every student has the rewards of another."""
    order = np.random.default_rng([seed, 3]).permutation(len(table.actions))
    return replace(table, rewards=table.rewards[..., order])


@dataclass(frozen=True)
class Search:
    """What a method does: in which table, by which search, from which policy."""

    table: str
    by: Callable[[Trial, np.random.Generator, Row], None] | None = None
    own: bool = True
    free: bool = False
    start: str = ""
    scrambled: bool = False
    random: bool = False


METHODS: Mapping[str, Search] = {
    "policy": Search("removal"),
    "policy-shared": Search("removal", own=False),
    "policy-free": Search("removal", free=True),
    "random": Search("removal", random_search),
    "greedy": Search("removal", greedy),
    "evolution": Search("removal", evolution),
    "transfer": Search("removal", start="policy"),
    "transfer-rate": Search("removal", start="rate"),
    "transfer-scrambled": Search("removal", start="scrambled"),
    "scrambled-policy": Search("removal", scrambled=True),
    "scrambled-random": Search("removal", random_search, scrambled=True),
    "both-policy": Search("both", in_stages),
    "both-policy-random": Search("both", in_stages, random=True),
    "both-random": Search("both", random_search),
    "both-greedy": Search("both", greedy),
    "both-evolution": Search("both", evolution),
}
"""N2N and its parts exchanged, its rivals, what is transferred, and a table without order."""


@cache
def _tables(profile: str) -> Mapping[str, n2n.Table]:
    return {r.method: table(r) for r in runs.load("n2n-students", profile=profile)}


def draw(setting: N2NSetting, seed: int) -> dict[str, Samples]:
    """Return the recorded tables; ``y`` is one, ``x`` its students."""
    found = _tables(setting.tables)
    many = {
        name: Samples(t.actions, t, f"{len(t.actions):,} students") for name, t in found.items()
    }
    kinds = " and ".join(many[name].source for name in ("removal", "both"))
    return many | {"test": replace(many["removal"], source=f"{kinds} of n2n-students, recorded")}


def _keep_rate(policy: n2n.Policy, widths: Sequence[int]) -> float:
    with torch.no_grad():
        return float(policy(widths, torch.zeros(1, len(widths)).long())[0, :, 1].exp().mean())


def started(search: Search, small: n2n.Table, seed: int, lr: float, students: int) -> n2n.Policy:
    """Return a policy that knows nothing, or one that saw students of a small teacher.

    ``start`` "rate" is one that knows nothing but how often the latter keeps a layer.
    """
    fresh = n2n.Removal(seed)
    if not search.start:
        return fresh
    policy, widths = n2n.Removal(seed), small.widths[1:-1]
    seen = scrambled(small, seed) if search.start == "scrambled" else small
    train = seen.training(seed % len(small.rewards), seed + 500)
    n2n.reinforce(policy, widths, train, students=students, lr=lr, seed=seed + 500)
    if search.start != "rate":
        return policy
    with torch.no_grad():
        share = torch.tensor([_keep_rate(p, widths) for p in (policy, fresh)]).logit()
        fresh.head.bias[1] += share[0] - share[1]
    return fresh


def searched(
    search: Search, tables: Mapping[str, n2n.Table], seed: int, looks: Sequence[int], how: Row
) -> tuple[Row, list[Row]]:
    """Run a search with one teacher, and judge it by what the others say of its students."""
    own = tables[search.table]
    own = scrambled(own, seed) if search.scrambled else own
    teacher, widths = seed % len(own.rewards), own.widths[1:-1]
    quality = own.quality(teacher)
    optimum = quality.max()
    history: list[Row] = []

    def once(students: int) -> Trial:
        trial, rng = Trial(own, teacher, seed, students), np.random.default_rng([seed, 1])
        if search.by:
            with suppress(SpentError):
                search.by(trial, rng, how | {"random": search.random})
            return trial
        small = tables["removal_small"]
        policy = started(search, small, seed, how["lr"], how.get("pretraining", 0))
        policy = n2n.Free(len(widths)) if search.free else policy

        @torch.no_grad()
        def look(seen: int) -> None:
            if seen in (0, *looks):
                J = float(n2n.expected(policy, widths, own.actions, quality)) / optimum
                keep = policy(widths, torch.zeros(1, len(widths)).long())[0, :, 1].exp()
                rounded = [round(p, 3) for p in keep.tolist()]
                history.append({"students": seen, "expected": round(J, 4), "keep": rounded})

        look(0)
        n2n.reinforce(
            policy, widths, trial, students=students, lr=how["lr"], seed=seed, own=search.own,
            after=look,
        )  # fmt: skip
        return trial

    staged = search.by is in_stages
    trials = {n: once(n) for n in (looks if staged else looks[-1:])}
    row: Row = {"optimum": round(float(optimum), 4)}
    last = 0
    for n in looks:
        trial = trials[n if staged else looks[-1]]
        seen: Floats = np.array(trial.rewards[:n])
        best, since = int(np.argmax(seen)), (len(seen) // 2 if staged else last)
        row |= {
            f"best_{n}": round(float(quality[trial.tried[best]] / optimum), 4),
            f"seen_{n}": round(float(seen[best] / optimum), 4),
            f"mean_{n}": round(float(quality[trial.tried[since:n]].mean() / optimum), 4),
            f"choice_{n}": trial.tried[best],
        }
        last = n
    return row, history


def run(job: Job) -> Outcome:
    """Choose on a small teacher's table, then search with every seed."""
    setting, search = job.setting, METHODS[job.method]
    tables = {name: part.y for name, part in job.splits(0).items() if name != "test"}
    candidates: list[Row] = [{"lr": lr} for lr in setting.rates]
    if search.by is evolution:
        candidates = [{"population": 4 * n, "sample": m} for n in (2, 4) for m in (2, 4)]
    elif search.random or search.by not in (None, in_stages):
        candidates = [{}]
    small = tables | {search.table: tables[f"{search.table}_small"]}
    few = [n for n in setting.looks if n < len(small[search.table].actions)]
    alone = replace(search, start="", scrambled=False)

    def judged(candidate: Row) -> float:
        seeds = range(TUNING_SEED, TUNING_SEED + setting.tuning_seeds)
        rows = [searched(alone, small, seed, few, candidate)[0] for seed in seeds]
        return round(float(np.mean([[row[f"best_{n}"] for n in few] for row in rows])), 4)

    chosen, tuning = tune(job, candidates, judged, score="share_of_optimum")
    how = chosen | {"pretraining": setting.pretraining}
    measured = partial(searched, search, tables, looks=setting.looks, how=how)
    return seed_by_seed(job, measured, chosen, tuning)


N2N = Experiment(
    {
        "quick": N2NSetting(
            seeds=3,
            methods=("policy", "random", "greedy"),
            looks=(20, 50),
            rates=(0.03,),
            tuning_seeds=2,
            pretraining=50,
        ),
        "cpu": N2NSetting(methods=tuple(METHODS)),
    },
    run,
    draw=draw,
)
"""Tables of the eight-layer and the three-layer teacher of the digits."""
