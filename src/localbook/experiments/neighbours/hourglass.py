"""Shapes of residual networks at equal sizes: denoising, and drawing the prototype of a class."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from localbook import neighbours
from localbook.arrays import Row
from localbook.experiments.harness import (
    TUNING_SEED,
    Experiment,
    Job,
    Outcome,
    fewer_images,
    seed_by_seed,
    tune,
)

hourglass = neighbours.hourglass
Shape = hourglass.Shape

TASKS = ("denoising", "prototypes")
BUDGETS = (9_000, 12_500, 16_600, 25_000, 41_000)
"""Of trained parameters, on images of 64 pixels; shapes use them up to a few hundred."""


def _shapes(*sizes: tuple[int, int, int], **ends: Any) -> tuple[hourglass.Shape, ...]:
    return tuple(Shape(*size, **ends) for size in sizes)


METHODS: Mapping[str, tuple[hourglass.Shape, ...]] = {
    "conventional": _shapes(
        (64, 64, 1),
        (64, 96, 1),
        *((64, 128, 1), (64, 64, 2)),
        *((64, 192, 1), (64, 96, 2), (64, 64, 3)),
        *((64, 320, 1), (64, 160, 2), (64, 80, 4), (64, 64, 5)),
    ),
    "conventional-W": _shapes(
        (64, 64, 1), (64, 64, 2), (64, 128, 2), (64, 64, 4), lift="trained", out=True
    ),
    "narrow": _shapes((64, 16, 4), *((64, 32, 4), (64, 16, 8)), (64, 48, 4), (64, 40, 8)),
    "hourglass": _shapes(
        (65, 4, 1),
        (65, 8, 4),
        *((65, 12, 5), (96, 10, 2)),
        *((65, 25, 5), (128, 16, 2)),
        *((65, 50, 5), (128, 19, 5), (192, 21, 2)),
        lift="trained",
        out=True,
    ),
    "hourglass-fixed": _shapes(
        (65, 7, 5),
        (65, 12, 5),
        *((65, 19, 5), (96, 10, 5)),
        *((65, 32, 5), (128, 13, 5)),
        *((65, 56, 5), (128, 25, 5), (256, 24, 2)),
        lift="random",
        out=True,
    ),
    "hourglass-orthogonal": _shapes(
        *((65, 7, 5), (65, 12, 5), (65, 19, 5), (128, 25, 5)),
        lift="orthogonal",
        out=True,
    ),
    "projections": (
        Shape(64, 64, 2, "none", True),
        Shape(64, 64, 2, "orthogonal", True),
        Shape(64, 64, 2, "random", True),
    ),
    "baselines": (),
}
"""Shapes by method. ``narrow`` has neither lift nor W_out; ``projections`` are added one by one to
the same two blocks; ``baselines`` are the input, the mean image and least squares."""


@dataclass(frozen=True)
class HourglassSetting:
    """Both tasks, at one profile.

    Attributes
    ----------
    most : int
        Shapes with more trained parameters are left out.
    steps, batch_size : int
    sigma : float
        Of the noise on pixels between 0 and 1.
    rates : tuple of float
        The learning rates among which each shape chooses for each task, by validation.
    copies : int
        Noisy copies of the training images, for least squares.
    """

    seeds: int = 5
    methods: tuple[str, ...] = tuple(METHODS)
    data: str = "digits"
    most: int = BUDGETS[-1]
    steps: int = 400
    batch_size: int = 128
    sigma: float = 0.25
    rates: tuple[float, ...] = (5e-3, 1e-2, 2e-2)
    copies: int = 20
    images: tuple[int | None, int | None, int | None] = (None, None, None)


@dataclass(frozen=True)
class Task:
    """What is shown and what is to be drawn, for one seed; noise of ``x`` is drawn in training."""

    name: str
    x: Tensor
    y: Tensor
    held: Mapping[str, tuple[Tensor, Tensor]]
    images: Tensor


def task(job: Job, name: str, seed: int) -> Task:
    """Return a task: the noise of val and test, and the prototypes, are the seed's."""
    pixels = {s: torch.from_numpy(i.images).flatten(1) / 255 for s, i in job.sets.items()}
    labels = {s: torch.from_numpy(i.labels) for s, i in job.sets.items()}
    one = hourglass.prototypes(pixels["train"], labels["train"], seed)
    draw = torch.Generator().manual_seed(seed + 1)
    held = {}
    for split in ("val", "test"):
        x = pixels[split]
        if name == "denoising":
            held[split] = (hourglass.noisy(x, job.setting.sigma, draw), x)
        else:
            held[split] = (x, one[labels[split]])
    y = pixels["train"] if name == "denoising" else one[labels["train"]]
    return Task(name, pixels["train"], y, held, one)


def trained(job: Job, of: Task, shape: hourglass.Shape, lr: float, seed: int) -> Any:
    """Return a trained network."""
    setting: HourglassSetting = job.setting
    return hourglass.train(
        hourglass.network(of.x.shape[1], shape, seed),
        of.x,
        of.y,
        steps=setting.steps,
        batch_size=setting.batch_size,
        lr=lr,
        seed=seed,
        sigma=setting.sigma if of.name == "denoising" else 0.0,
    )


@torch.no_grad()
def judged(of: Task, net: Any, split: str) -> float:
    """Return a network's PSNR on a split."""
    x, y = of.held[split]
    return round(hourglass.psnr(net(x), y), 4)


def candidate_psnr(job: Job, of: Task, shape: hourglass.Shape, candidate: Row) -> float:
    """Return what a candidate's rate reaches on the validation split."""
    return judged(of, trained(job, of, shape, candidate["lr"], TUNING_SEED), "val")


@torch.no_grad()
def right(of: Task, net: Any) -> float:
    """Return how many test images are drawn nearest to the prototype of their own class."""
    x, y = of.held["test"]
    drawn = of.images[torch.cdist(net(x), of.images).argmin(1)]
    return round((drawn == y).all(1).double().mean().item(), 4)


def baselines(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Return the PSNR of the input, the mean of what is to be drawn, and least squares."""
    rows = []
    for name in TASKS:
        of = task(job, name, seed)
        x, y = (part.repeat(job.setting.copies, 1) for part in (of.x, of.y))
        if name == "denoising":
            x = hourglass.noisy(x, job.setting.sigma, torch.Generator().manual_seed(seed))
        new, wanted = of.held["test"]
        mean = of.y.mean(0).expand_as(wanted)
        found = {"input": new, "mean": mean, "linear": hourglass.least_squares(x, y, new)}
        values = {key: round(hourglass.psnr(v, wanted), 4) for key, v in found.items()}
        rows.append({"task": name} | values)
    return {f"{row['task']}_linear": row["linear"] for row in rows}, rows


def run(job: Job) -> Outcome:
    """Choose a rate for each shape and task, and train every seed with it."""
    if job.method == "baselines":
        return seed_by_seed(job, partial(baselines, job))
    size = job.sets["train"].images[0].size
    shapes = [s for s in METHODS[job.method] if s.parameters(size)[0] <= job.setting.most]
    chosen: dict[tuple[str, hourglass.Shape], float] = {}
    tuning: list[Row] = []
    for name in TASKS:
        of = task(job, name, TUNING_SEED)
        for shape in shapes:
            best, rows = tune(
                job,
                [{"lr": lr} for lr in job.setting.rates],
                partial(candidate_psnr, job, of, shape),
                name=f"{name}-{shape}-{shape.lift}-",
                score="val_psnr",
            )
            chosen[name, shape] = best["lr"]
            tuning += [{"task": name, "shape": str(shape), "lift": shape.lift} | r for r in rows]

    def measured(seed: int) -> tuple[Row, list[Row]]:
        rows, tasks = [], {name: task(job, name, seed) for name in TASKS}
        for (name, shape), lr in chosen.items():
            net = trained(job, tasks[name], shape, lr, seed)
            count = shape.parameters(size)
            row: Row = {"task": name, "shape": str(shape), "lift": shape.lift, "lr": lr}
            row |= {"trainable": count[0], "all": count[1], "neurons": shape.neurons}
            row |= {f"{s}_psnr": judged(tasks[name], net, s) for s in ("val", "test")}
            if name == "prototypes":
                row["accuracy"] = right(tasks[name], net)
            rows.append(row)
        return {f"{r['task']}_{r['shape']}_{r['lift']}": r["test_psnr"] for r in rows}, rows

    rates = {f"{name}_{shape}_{shape.lift}": lr for (name, shape), lr in chosen.items()}
    return seed_by_seed(job, measured, rates, tuning)


HOURGLASS = Experiment(
    {
        "quick": HourglassSetting(
            seeds=2,
            methods=("conventional", "hourglass", "hourglass-fixed", "baselines"),
            most=BUDGETS[0],
            steps=30,
            rates=(1e-2,),
            copies=2,
            images=(300, 100, 200),
        ),
        "cpu": HourglassSetting(),
    },
    run,
    prepare=fewer_images,
)
