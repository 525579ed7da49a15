"""Every student of a teacher, trained once: the tables in which N2N's policies are judged."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Floats, Row
from localbook.data import ImageSet
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    rows_once,
    tune,
)
from localbook.fit import fit
from localbook.progress import Progress
from localbook.runs import Record

n2n = neighbours.n2n
CHOICES = (0.0, *sorted(set(n2n.FACTORS)))
"""What a layer can become in both stages together: removed, shrunk, kept."""

_AT_ONCE = 32  # students that are kept together


@dataclass(frozen=True)
class StudentsSetting:
    """Teachers on the digits and all of their students, at one profile.

    Attributes
    ----------
    seeds : int
        Teachers of each kind.
    methods : tuple of str
        Kinds of teachers: fields of their hidden widths. Students of ``removal`` and
        ``removal_small`` keep each layer or not, those of the others have ``CHOICES``.
    trainings : int
        Of each student, under each teacher.
    teacher_epochs, epochs, batch_size : int
    teacher_rate : float
    rates : tuple of float
        Candidates of the students' learning rate, by validation of a few students.
    spare : int
        Training images that join those of validation.
    """

    data: str = "digits"
    seeds: int = 5
    methods: tuple[str, ...] = ("removal_small", "both_small", "both", "removal")
    removal: tuple[int, ...] = (64, 40, 56, 32, 48, 24, 60, 36)
    removal_small: tuple[int, ...] = (60, 32, 52, 24, 44, 36)
    both: tuple[int, ...] = (60, 40, 50)
    both_small: tuple[int, ...] = (50, 40)
    trainings: int = 2
    teacher_epochs: int = 30
    teacher_rate: float = 0.003
    epochs: int = 5
    batch_size: int = 64
    rates: tuple[float, ...] = (0.003, 0.01, 0.03)
    spare: int = 400
    images: tuple[int | None, int | None, int | None] = (None, None, None)


class Stack(nn.Module):
    """R networks of the same widths side by side, from (B, R, D) to (B, R, K).

    ReLUs between layers; weights start with the variance 2 / inputs, one seed for each network.
    """

    def __init__(self, widths: Sequence[int], seeds: Sequence[int]) -> None:
        super().__init__()
        draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.W, self.b = nn.ParameterList(), nn.ParameterList()
        for n, m in pairwise(widths):
            each = [torch.randn(n, m, generator=draw) for draw in draws]
            self.W.append(nn.Parameter(torch.stack(each) * (2 / n) ** 0.5))
            self.b.append(nn.Parameter(torch.zeros(len(draws), 1, m)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the networks' outputs."""
        x = x.transpose(0, 1)  # (R, B, D)
        for number, (W, b) in enumerate(zip(self.W, self.b, strict=True)):
            x = torch.baddbmm(b, x if number == 0 else x.relu(), W)
        return x.transpose(0, 1)

    @torch.no_grad()
    def all(self, x: Tensor) -> Tensor:
        """Return the outputs (N, R, K) of samples (N, D) that all networks see."""
        out: Tensor = self(x[:, None].expand(-1, len(self.W[0]), -1))
        return out

    def right(self, x: Tensor, y: Tensor) -> list[int]:
        """Return how many of N samples each network gets right."""
        counts: list[int] = (self.all(x).argmax(2) == y[:, None]).sum(0).tolist()
        return counts


def train(
    stack: Stack, x: Tensor, target: Tensor, *, epochs: int, batch_size: int, lr: float, seed: int
) -> Stack:
    """Train a stack in place, each network as if it were alone, in an order of its own.

    ``target`` holds classes (N, R), for the cross-entropy, or a teacher's logits (N, R, K), for
    the mean squared error; Adam has the weight decay of the authors' code.
    """
    R = target.shape[1]
    draw = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.randperm(len(x), generator=draw) for _ in range(R)], dim=1)

    def loss(out: Tensor, y: Tensor) -> Tensor:
        if y.ndim == 3:
            return R * nn.functional.mse_loss(out, y)
        return R * nn.functional.cross_entropy(out.flatten(0, 1), y.flatten())

    return fit(
        stack, x[orders], target[orders, torch.arange(R)], epochs=epochs, batch_size=batch_size,
        lr=lr, seed=seed, loss=loss,
        optimiser=partial(torch.optim.Adam, weight_decay=5e-4, fused=True),
    )  # fmt: skip


def splits(setting: StudentsSetting, sets: dict[str, ImageSet]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return images as rows (N, D) in [-1, 1], and labels (N,); ``spare`` ones change sides."""
    found = {
        name: (torch.tensor(part.images).flatten(1) / 127.5 - 1, torch.tensor(part.labels))
        for name, part in sets.items()
    }
    order = torch.randperm(len(sets["train"]), generator=torch.Generator().manual_seed(0))
    away, kept = order[: setting.spare], order[setting.spare :]
    x, y = found["train"]
    moved = [torch.cat(pair) for pair in zip(found["val"], (x[away], y[away]), strict=True)]
    return found | {"train": (x[kept], y[kept]), "val": (moved[0], moved[1])}


def run(job: Job) -> Outcome:
    """Train the teachers of one kind, choose the students' rate, and train all students."""
    setting: StudentsSetting = job.setting
    inner, data = getattr(setting, job.method), splits(setting, dict(job.sets))
    x, y = data["train"]
    ends = x.shape[1], len(job.sets["train"].class_names)
    choices = (0.0, 1.0) if job.method.startswith("removal") else CHOICES
    actions = n2n.actions(len(choices), len(inner))
    how = {"batch_size": setting.batch_size}

    def taught(seeds: Sequence[int]) -> tuple[Stack, Tensor]:
        stack = Stack((ends[0], *inner, ends[1]), seeds)
        classes, lr = y[:, None].expand(-1, len(seeds)), setting.teacher_rate
        train(stack, x, classes, epochs=setting.teacher_epochs, lr=lr, seed=0, **how)
        logits = stack.all(x)
        return stack, logits / logits.std(dim=(0, 2), keepdim=True)

    def student(number: int, targets: Tensor, lr: float) -> Stack:
        kept = n2n.hidden(inner, [choices[i] for i in actions[number]])
        first, R = 1000 * (number + 1), targets.shape[1]
        stack = Stack((ends[0], *kept, ends[1]), range(first, first + R))
        return train(stack, x, targets, epochs=setting.epochs, lr=lr, seed=number, **how)

    def judged(candidate: Row) -> float:
        some = np.linspace(0, len(actions) - 1, 12).round().astype(int).tolist()
        right = [student(n, apart, **candidate).right(*data["val"]) for n in some]
        return round(float(np.mean(right)) / len(data["val"][1]), 4)

    apart = taught([TUNING_SEED])[1]
    chosen, tuning = tune(job, [{"lr": lr} for lr in setting.rates], judged)
    teachers, logits = taught(job.seeds)
    targets = logits.repeat(1, setting.trainings, 1)

    def part(numbers: range) -> list[Row]:
        rows: list[Row] = []
        for number in numbers:
            start = time.perf_counter()
            stack = student(number, targets, **chosen)
            right = {s: stack.right(*data[s]) for s in ("val", "test")}
            rows.append(right | {"seconds": time.perf_counter() - start})
        return rows

    rows: list[Row] = []
    with Progress(job.method, len(actions), "student") as bar:
        for start in range(0, len(actions), _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, len(actions)))
            rows += rows_once(job, f"{len(job.seeds)}-from{start}", partial(part, numbers))
            bar.at(numbers.stop)
    counts = {s: np.array([row[s] for row in rows]).T for s in ("val", "test")}  # (R, S)
    history = [
        {"seed": seed, "training": i // len(job.seeds)} | {s: counts[s][i].tolist() for s in counts}
        for i, seed in enumerate(job.seeds * setting.trainings)
    ]
    right = {s: teachers.right(*data[s]) for s in ("val", "test")}
    final: list[Row] = [
        {"seed": seed} | {f"{s}_accuracy": round(right[s][i] / len(data[s][1]), 4) for s in right}
        | {f"{s}_images": len(data[s][1]) for s in right}
        for i, seed in enumerate(job.seeds)
    ]  # fmt: skip
    wall = round(sum(row["seconds"] for row in rows), 3)
    size = n2n.parameters((ends[0], *inner, ends[1]))
    return Outcome(history, final, wall, chosen, tuning, size)


def accuracies(record: Record, split: str) -> tuple[Floats, Floats]:
    """Return those of students, (T, trainings, S), and of their teachers, (T,), on one split."""
    counts = np.array([row[split] for row in record.history], dtype=float)  # (trainings T, S)
    teachers = np.array([row[f"{split}_accuracy"] for row in record.final])
    apart = counts.reshape(-1, len(teachers), counts.shape[1]).transpose(1, 0, 2)
    return apart / record.final[0][f"{split}_images"], teachers


def table(record: Record) -> n2n.Table:
    """Return the table that a record of students holds: rewards on validation images."""
    widths = (64, *record.config["setting"][record.method], 10)
    choices = (0.0, 1.0) if record.method.startswith("removal") else CHOICES
    students, teachers = accuracies(record, "val")
    C = n2n.compression(widths, choices)
    return n2n.Table(widths, choices, n2n.reward(C, students / teachers[:, None, None]))


N2N_STUDENTS = Experiment(
    {
        "quick": StudentsSetting(
            seeds=2,
            removal=(48, 16, 32),
            removal_small=(32, 16),
            both=(40,),
            both_small=(40,),
            teacher_epochs=10,
            epochs=3,
            rates=(0.01,),
            spare=100,
            images=(400, 100, 200),
        ),
        "cpu": StudentsSetting(),
    },
    run,
    fewer_images,
)
"""Digits."""
