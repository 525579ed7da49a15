"""MgNO beside its authors' code: numbers, the time of a step, and errors after equal training.

Their code is no dependency: it is a folder of Python files, cloned from github.com/xlliu2017/MgNO
and named by PYTHONPATH.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn

from localbook import neighbours
from localbook.benchmarks.harness import Meter, Row, Target, by_turns, counted, timed
from localbook.errors import ConfigError
from localbook.experiments.harness import TUNING_SEED
from localbook.experiments.neighbours.multigrid import Darcy, draw_darcy, error, trained
from localbook.fit import seeded

mg = neighbours.multigrid
Make = Callable[[Darcy, int, int], nn.Module]  # of so many functions a layer, by a seed

PEER = "official code"
FUNCTIONS = 7  # a layer, in our recorded comparison
TIMED: tuple[tuple[int, Darcy], ...] = (
    (FUNCTIONS, Darcy(n=127, levels=6)),
    (24, Darcy(n=127, levels=6, layers=4)),  # as in the authors' scripts
)
TRAINING = Darcy(seeds=10, rates=(0.003, 0.01, 0.03))
"""That comparison, with more seeds and with rates to choose among."""


def measure(
    meter: Meter, sizes: tuple[tuple[int, Darcy], ...] = TIMED, training: Darcy = TRAINING
) -> Iterator[Row]:
    """Yield numbers and times of both networks, and their errors on Darcy's problem, by seeds.

    Both have as many functions and layers, and see the same data in the same batches and steps of
    Adam; each chooses its rate among the same ones, on data of another seed. Theirs is timed as it
    is, and with its weights channels last, as ours are. A ratio of two steps in succession is the
    same in a slow spell of the machine, so the target is about these.
    """
    makes: tuple[Make, Make] = (_own, _official())
    for c, setting in sizes:
        own, other = (make(setting, c, 0) for make in makes)
        size = f"{setting.layers} layers of {c}, {setting.n} x {setting.n} points"
        yield counted("MgNO", size, "numbers", _count(own), PEER, _count(other), Target("ratio"))
        last = deepcopy(other).to(memory_format=torch.channels_last)
        nets = {"own": own, PEER: other, f"{PEER}, channels last": last}
        x = torch.randn(2, 1, setting.n, setting.n, generator=torch.Generator().manual_seed(0))
        times = meter.compare({name: partial(_step, net, x) for name, net in nets.items()})
        what = "MgNO, forward and backward"
        for name in list(nets)[1:]:
            yield timed(what, size, times["own"], name, times[name])
        ratios = meter.turns(partial(_step, own, x), partial(_step, other, x))
        yield by_turns(f"{what}, over the {PEER}", size, ratios, Target("value", 1.0))
    yield from _errors(makes, training)


def _errors(makes: tuple[Make, Make], setting: Darcy) -> Iterator[Row]:
    size, what = f"{setting.n} x {setting.n} points", "MgNO on Darcy's problem"
    (rate, own), (other_rate, other) = (_learned(make, setting) for make in makes)
    counts = [_count(make(setting, FUNCTIONS, 0)) for make in makes]
    yield counted(what, size, "numbers", counts[0], PEER, counts[1], Target("ratio"))
    yield counted(what, size, "rate", rate, PEER, other_rate)
    for seed, (ours, theirs) in enumerate(zip(own, other, strict=True)):
        yield counted(what, f"{size}, seed {seed}", "relative error", ours, PEER, theirs)


def _learned(make: Make, setting: Darcy) -> tuple[float, list[float]]:
    """Return the rate that is best on another seed, and the errors of all seeds with it."""

    def learn(rate: float, seed: int) -> float:
        splits, net = draw_darcy(setting, seed), make(setting, FUNCTIONS, seed)
        trained(setting, net, splits["train"].x, splits["train"].y, rate, seed)
        return round(error(net, splits["test"]), 5)

    best = min(setting.rates, key=lambda rate: learn(rate, TUNING_SEED))
    return best, [learn(best, seed) for seed in range(setting.seeds)]


def _own(setting: Darcy, c: int, seed: int) -> nn.Module:
    return mg.network(c, setting.layers, setting.cycle, seed, residual=False)  # as released


def _official() -> Make:
    """Return what makes the authors' network, on grids with an odd number of points a side.

    Their way up doubles the points; for such a grid they give its last part a kernel of three.
    """
    try:
        network = import_module("models").MgNO_DC
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigError(
            f"the benchmark multigrid needs {error.name}: clone github.com/xlliu2017/MgNO, name "
            "its folder in PYTHONPATH, and pip install torchinfo h5py."
        ) from None

    def make(setting: Darcy, c: int, seed: int) -> nn.Module:
        with seeded(seed):
            net: Any = network(setting.layers, c, 1, 1, [list(s) for s in setting.cycle])
            for cycle in net.conv_list:
                cycle.RTlayers[0] = nn.ConvTranspose2d(c, c, 3, 2, 1, bias=False)
        return cast(nn.Module, net)

    return make


def _step(net: nn.Module, x: Tensor) -> None:
    net.zero_grad()
    net(x).square().mean().backward()


def _count(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())
