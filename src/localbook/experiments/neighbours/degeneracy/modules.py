"""Two networks side by side, seen through a mixing of their neurons, and bases that part them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Floats, Row
from localbook.experiments.harness import Experiment, Job, Samples, each_seed
from localbook.fit import fit, mlp

degeneracy = neighbours.degeneracy

BASES: Mapping[str, dict[str, bool]] = {
    "interaction": {},
    "with the constant": {"centre": False},
    "principal": {"M": False},
    "gradients": {"G": False},
    "none": {"G": False, "M": False},
}
"""How :func:`localbook.neighbours.degeneracy.basis` is called: ``none`` is the layer as seen."""


@dataclass(frozen=True)
class Modules:
    """Two perceptrons, by how far the inputs of one are correlated with the other's.

    Attributes
    ----------
    sizes : tuple of int
        Of each.
    first : int
        Of so many features of each basis the mean purity is taken.
    """

    seeds: int = 10
    methods: tuple[str, ...] = ("0", "0.3", "0.6", "0.9")
    sizes: tuple[int, ...] = (4, 12, 12, 2)
    samples: int = 2000
    steps: int = 1500
    batch_size: int = 250
    lr: float = 0.003
    first: int = 10


def draw(setting: Modules, seed: int) -> dict[str, Samples]:
    """Return standard normal numbers (N, 2 n), from which the inputs of both are made."""
    rng, shape = np.random.default_rng(seed), (setting.samples, 2 * setting.sizes[0])
    numbers = [rng.normal(size=shape) for _ in range(2)]
    source = "standard normal, drawn"
    return {name: Samples(x, x, source) for name, x in zip(("train", "test"), numbers, strict=True)}


def both(numbers: Floats, correlation: float) -> list[Tensor]:
    """Return the inputs (N, n) of both perceptrons."""
    one, other = torch.tensor(numbers).chunk(2, dim=1)
    return [one, correlation * one + (1 - correlation**2) ** 0.5 * other]


def halves(setting: Modules, inputs: Sequence[Tensor], seed: int) -> list[nn.Sequential]:
    """Return two perceptrons, each trained on the outputs of a ReLU teacher of its own."""
    found = []
    for k, x in enumerate(inputs):
        teacher = mlp((setting.sizes[0], 8, setting.sizes[-1]), 2 * seed + k, dtype=x.dtype)
        y = teacher(x).detach()
        y = (y - y.mean(0)) / y.std(0)
        net = mlp(setting.sizes, 1000 + 2 * seed + k, dtype=x.dtype)
        how: Row = {"steps": setting.steps, "batch_size": setting.batch_size, "lr": setting.lr}
        found.append(fit(net, x, y, seed=seed, loss=nn.functional.mse_loss, **how))
    return found


def side_by_side(nets: Sequence[nn.Sequential], inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the first hidden layers (N, 2 m), all outputs (N, 2 c), and their Jacobians."""
    layers = [net[:2](x).detach() for net, x in zip(nets, inputs, strict=True)]
    found = [degeneracy.jacobian(net[2:], f) for net, f in zip(nets, layers, strict=True)]
    m = layers[0].shape[1]
    places = ((0, m), (m, 0))  # neither reads the other's neurons
    J = [nn.functional.pad(J, place) for (_, J), place in zip(found, places, strict=True)]
    return [torch.cat(layers, 1), torch.cat([out for out, _ in found], 1), torch.cat(J, 1)]


def views(width: int, seed: int) -> dict[str, Tensor]:
    """Return matrices (width, width) that mix neurons: one turns, one stretches up to tenfold."""
    drawn = torch.Generator().manual_seed(seed)
    Q, P = torch.linalg.qr(torch.randn(2, width, width, generator=drawn, dtype=torch.float64))[0]
    stretch = torch.logspace(0, 1, width, dtype=torch.float64)
    return {"turned": Q, "stretched": Q @ torch.diag(stretch) @ P}


def purity(strengths: Floats) -> float:
    """Return the mean over rows (r, 2 m) of the larger share that lies in one half."""
    shares = strengths.reshape(len(strengths), 2, -1).sum(axis=2)
    return round(float((shares.max(axis=1) / shares.sum(axis=1)).mean()), 4)


def pure(setting: Modules, f: Tensor, out: Tensor, J: Tensor, A: Tensor) -> Row:
    """Return for each basis of the layer A f how pure its features are: [reads, does].

    A feature reads the neurons, each weighed by its variance, and moves the outputs.
    """
    seen, slopes = f @ A.T, J @ torch.linalg.inv(A)
    constant = degeneracy.with_constant(seen, out, slopes)
    row: Row = {}
    for name, how in BASES.items():
        at = constant if "centre" in how else (seen, slopes)
        found = degeneracy.basis(*at, **how)
        C = found.C[: setting.first, : len(A)] @ A.numpy()
        does = np.square(at[1].numpy() @ found.back[:, : setting.first]).mean(axis=0).T
        row[name] = [purity(np.square(C) * f.var(0).numpy()), purity(does)]
    return row


def parted(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Return the purity of each basis by view, on new inputs."""
    setting, splits = job.setting, job.splits(seed)
    old, new = (both(splits[name].x, float(job.method)) for name in ("train", "test"))
    f, out, J = side_by_side(halves(setting, old, seed), new)
    mixed = views(f.shape[1], seed)
    return {view: pure(setting, f, out, J, A) for view, A in mixed.items()}, []


MODULES = Experiment(
    {"quick": Modules(seeds=2, methods=("0.6",), samples=500, steps=200), "cpu": Modules()},
    each_seed(parted),
    draw=draw,
)
