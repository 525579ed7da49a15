"""One layer of a transformer, trained: what it needs positions, attention and neurons for."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from localbook import neighbours
from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.experiments.harness import Experiment, Job, Outcome, Samples

layers = neighbours.one_layer_transformer
PLACES = {2: 61, 3: 21}
"""On the grids on which errors are taken, for each token, by the number of tokens."""


@dataclass(frozen=True)
class Setting:
    """Layers of each kind, trained on points of the target.

    Attributes
    ----------
    seeds, methods
        The methods are the kinds of layers.
    sizes : tuple of (int, int)
        Tokens, two or three, and neurons.
    points, batch_size : int
    steps : tuple of int
        Of Adam at the learning rate, and then at a tenth of it.
    lr : float

    Raises
    ------
    ConfigError
        If a number of tokens has no grid.
    """

    seeds: int = 5
    methods: tuple[str, ...] = layers.KINDS
    sizes: tuple[tuple[int, int], ...] = ((2, 64), (3, 64))
    points: int = 4096
    batch_size: int = 128
    steps: tuple[int, int] = (500, 100)
    lr: float = 0.01

    def __post_init__(self) -> None:
        if not {n for n, _ in self.sizes} <= set(PLACES):
            raise ConfigError(f"sizes={self.sizes}: give layers of two or three tokens.")


def draw(setting: Setting, seed: int) -> dict[str, Samples]:
    """Return uniform sequences of three numbers, and a grid; layers take their first n numbers."""
    x = np.random.default_rng(seed).random((setting.points, 3))
    source = f"{setting.points:,} uniform sequences, drawn, and a grid"
    return {
        "train": Samples(x, layers.target(x), source),
        "test": Samples(layers.grid(3, np.linspace(0, 1, PLACES[3])), None, source),
    }


def trained(job: Job, n: int, K: int) -> list[nn.Module]:
    """Return a trained layer of each seed; all are trained side by side, which saves time.

    Their losses are added, and Adam treats every weight by itself: so none knows of the others.
    """
    nets: list[nn.Module] = [layers.Layer(n, K, seed, kind=job.method) for seed in job.seeds]
    weights, _ = stack_module_state(nets)
    points = [torch.from_numpy(job.splits(seed)["train"].x[:, :n]) for seed in job.seeds]
    answers = [torch.from_numpy(layers.target(x.numpy())) for x in points]
    x, y = torch.stack(points), torch.stack(answers)  # (seeds, points, n)
    order = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(weights.values())

    def out(w: Any, x: Tensor) -> Any:
        return functional_call(nets[0], w, (x,))

    for steps, lr in zip(job.setting.steps, (job.setting.lr, job.setting.lr / 10), strict=True):
        optimizer.param_groups[0]["lr"] = lr
        for _ in range(steps):
            at = torch.randint(x.shape[1], (job.setting.batch_size,), generator=order)
            missed = vmap(out)(weights, x[:, at]) - y[:, at]
            optimizer.zero_grad()
            missed.square().mean(dim=(1, 2)).sum().backward()
            optimizer.step()
    for i, net in enumerate(nets):
        net.load_state_dict({name: part[i] for name, part in weights.items()})
    return nets


def run(job: Job) -> Outcome:
    """Train one kind at all sizes: a row for each, with every token's largest error on the grid."""
    start, rows = time.perf_counter(), []
    for n, K in job.setting.sizes:
        for seed, net in zip(job.seeds, trained(job, n, K), strict=True):

            @torch.no_grad()
            def answers(x: Floats, net: nn.Module = net) -> Floats:
                found: Floats = net(torch.from_numpy(x)).numpy()
                return found

            errors = layers.errors(answers, layers.target, n, PLACES[n]).round(4)
            found = {"errors": errors.tolist(), "error": float(errors.max())}
            rows.append({"seed": seed, "n": n, "K": K} | found)
    final = [{"seed": row["seed"], "error": row["error"]} for row in rows[-len(job.seeds) :]]
    return Outcome(rows, final, time.perf_counter() - start)


ONE_LAYER_TRANSFORMER = Experiment(
    {
        "quick": Setting(seeds=2, sizes=((2, 32), (3, 32)), points=512, steps=(200, 50)),
        "cpu": Setting(),
    },
    run,
    draw=draw,
)
