"""One layer of a transformer, trained: what it needs positions, attention and neurons for."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from localbook import neighbours
from localbook.arrays import Floats, Row
from localbook.errors import ConfigError
from localbook.experiments.harness import Experiment, Job, Samples, each_seed
from localbook.fit import fit

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
    steps: tuple[int, int] = (600, 200)
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


def trained(setting: Setting, points: Samples, kind: str, n: int, K: int, seed: int) -> nn.Module:
    """Return a layer after its training on the first n numbers."""
    x, y = (torch.from_numpy(np.ascontiguousarray(part[:, :n])) for part in (points.x, points.y))
    net: nn.Module = layers.Layer(n, K, seed, kind=kind)
    for steps, lr in zip(setting.steps, (setting.lr, setting.lr / 10), strict=True):
        fit(
            net, x, y, steps=steps, batch_size=setting.batch_size, lr=lr, seed=seed,
            loss=nn.functional.mse_loss,
        )  # fmt: skip
    return net


def measured(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train one kind at all sizes: a row for each, with every token's largest error on the grid."""
    rows, points = [], job.splits(seed)["train"]
    for n, K in job.setting.sizes:
        net = trained(job.setting, points, job.method, n, K, seed)

        @torch.no_grad()
        def answers(x: Floats, net: nn.Module = net) -> Floats:
            found: Floats = net(torch.from_numpy(x)).numpy()
            return found

        errors = layers.errors(answers, layers.target, n, PLACES[n]).round(4)
        rows.append({"n": n, "K": K, "errors": errors.tolist(), "error": float(errors.max())})
    return {"error": rows[-1]["error"]}, rows


ONE_LAYER_TRANSFORMER = Experiment(
    {
        "quick": Setting(seeds=2, sizes=((2, 32), (3, 32)), points=512, steps=(200, 50)),
        "cpu": Setting(),
    },
    each_seed(measured),
    draw=draw,
)
