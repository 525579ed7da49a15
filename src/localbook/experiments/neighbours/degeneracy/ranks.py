"""Ranks of the behavioural Hessian where dependence was planted, beside the counting rule."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.arrays import Row
from localbook.experiments.harness import Experiment, Job, Samples, each_seed
from localbook.fit import mlp

degeneracy = neighbours.degeneracy


@dataclass(frozen=True)
class Planted:
    """What is wrong on purpose with a perceptron of two hidden layers.

    Attributes
    ----------
    shut, open : (int, int)
        So many neurons of each hidden layer never or always fire on the inputs.
    factor : float
        The second neuron of the first layer is so many times the first one; 0 for its own.
    silent : int
        So many neurons of the second hidden layer have outgoing weights of zero.
    same_readout : bool
        The first two neurons of the first layer have the same outgoing weights.
    sparse : str
        ``"blocks"`` are two networks of half the size side by side; ``"scattered"`` has each
        neuron's same weights on inputs drawn anew.
    flat : int
        The rank of the inputs, or 0 for all.
    balanced : bool
        Biases let every other gate be open on half of the inputs; else they are torch's.
    """

    shut: tuple[int, int] = (0, 0)
    open: tuple[int, int] = (0, 0)
    factor: float = 0.0
    silent: int = 0
    same_readout: bool = False
    sparse: str = ""
    flat: int = 0
    balanced: bool = True


PLANTED = {
    "nothing": Planted(),
    "shut": Planted(shut=(0, 1)),
    "shut-in-both": Planted(shut=(1, 1)),
    "open": Planted(open=(3, 0)),
    "open-in-both": Planted(open=(3, 2)),
    "five-open": Planted(open=(0, 5)),
    "silent": Planted(silent=1),
    "parallel": Planted(factor=2.0),
    "opposite": Planted(factor=-1.0),
    "same-readouts": Planted(same_readout=True),
    "flat-inputs": Planted(flat=3),
    "modular": Planted(sparse="blocks"),
    "scattered": Planted(sparse="scattered"),
    "torch": Planted(balanced=False),
}
"""The planted networks by name."""


@dataclass(frozen=True)
class Ranks:
    """Networks of these sizes, on so many of the inputs."""

    seeds: int = 40
    methods: tuple[str, ...] = tuple(PLANTED)
    sizes: tuple[int, ...] = (6, 8, 8, 4)
    inputs: tuple[int, ...] = (500, 5000)


def gaussian(setting: Ranks, seed: int) -> dict[str, Samples]:
    """Return standard normal inputs."""
    x = np.random.default_rng(seed).normal(size=(max(setting.inputs), setting.sizes[0]))
    return {"test": Samples(x, x, "standard normal, drawn")}


@torch.no_grad()
def planted(how: Planted, sizes: tuple[int, ...], x: Tensor, seed: int) -> nn.Sequential:
    """Return a perceptron of two hidden layers in double precision with what is planted."""
    net = mlp(sizes, seed, dtype=x.dtype)
    if how.sparse:
        drawn = torch.Generator().manual_seed(seed)
        pair = [mlp([s // 2 for s in sizes], 2 * seed + k, dtype=x.dtype) for k in (0, 1)]
        for name, w in net.named_parameters():
            w.zero_()
            for place, half in enumerate(pair):
                part = half.get_parameter(name)
                w[tuple(slice(place * n, (place + 1) * n) for n in part.shape)] = part
            if how.sparse == "scattered" and w.ndim > 1:
                places = torch.rand(w.shape, generator=drawn).argsort(1)
                w.copy_(w.gather(1, places))
    first, second, last = (part for part in net if isinstance(part, nn.Linear))
    if how.factor:
        first.weight[1], first.bias[1] = how.factor * first.weight[0], how.factor * first.bias[0]
    last.weight[:, : how.silent] = 0
    if how.same_readout:
        second.weight[:, 1] = second.weight[:, 0]
    for layer, shut, always in zip((first, second), how.shut, how.open, strict=True):
        z = x @ layer.weight.T
        if how.balanced:
            layer.bias.copy_(-z.median(0).values)
        layer.bias[:shut] = -z.max(0).values[:shut] - 0.1
        layer.bias[shut : shut + always] = 0.1 - z.min(0).values[shut : shut + always]
        x = torch.relu(layer(x))
    return net


def ranked(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Return rank and rule of a planted network, each a list by the number of inputs.

    ``large`` counts singular values above a hundredth of the largest; ``gap`` is the logarithm of
    the largest that counts as zero over the smallest that does not.
    """
    how, x = PLANTED[job.method], torch.tensor(job.splits(seed)["test"].x)
    if how.flat:
        x[:, how.flat :] = x[:, : how.flat].flip(1)
    net = planted(how, job.setting.sizes, x, seed)
    rows: list[Row] = []
    for n in job.setting.inputs:
        rule = degeneracy.counted(net, x[:n])
        sizes = degeneracy.singular_values(degeneracy.behaviour(net, x[:n]))
        r = int((sizes > degeneracy.TOLERANCE * sizes[0]).sum())
        tiny = np.log10(max(sizes[r:].max(initial=0), 1e-99) / sizes[r - 1])
        large = int((sizes > 0.01 * sizes[0]).sum())
        rows.append({"rank": r, "rule": rule.rank, "rarest": rule.rarest, "large": large})
        rows[-1]["gap"] = round(float(tiny), 1)
    return {key: [row[key] for row in rows] for key in rows[0]}, []


RANKS = Experiment(
    {"quick": Ranks(seeds=2, inputs=(200, 1000)), "cpu": Ranks()}, each_seed(ranked), draw=gaussian
)
