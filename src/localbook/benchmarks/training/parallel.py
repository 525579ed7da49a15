"""What module-parallel training gains over one process, and the figures that a model of it needs.

Times are on the wall: what several processes do at once is not to be seen in one's processor time.
"""

import copy
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from localbook.benchmarks.harness import Meter, Row, Target, counted
from localbook.benchmarks.training.link import bytes_a_second
from localbook.data import DeviceImages, ImageSet
from localbook.local import (
    BP,
    SGR,
    IsolatedNetwork,
    PlainLocal,
    Rule,
    Schedule,
    add_heads,
    cifar_resnet,
    parallel,
    split,
)
from localbook.local.training import batches, optimiser

UNIT = "ms on the wall"
_MIB = 2**20
_WARM_UP = 5  # steps
RULES: Mapping[str, Rule] = {"plain local": PlainLocal(), "SGR": SGR(0.1)}


@dataclass(frozen=True)
class Case:
    """What is run.

    Attributes
    ----------
    depth, batch : int
        Of the ResNet, and images of a step.
    modules : tuple of int
        Numbers of modules; the first is the one with a target.
    steps, rounds : int
        In turns with one process, so that a slow spell of the machine meets both.
    parts : tuple of int
        Numbers of micro-batches of a pipeline of the first number of modules.
    """

    depth: int = 32
    batch: int = 64
    modules: tuple[int, ...] = (2, 4)
    steps: int = 30
    rounds: int = 3
    parts: tuple[int, ...] = (4, 16)

    def network(self, modules: int) -> IsolatedNetwork:
        """Return the network in modules that take equally long."""
        x, y = self.data().at(slice(0, self.batch))
        parts = split(cifar_resnet(self.depth, seed=0), modules, x, by="time")
        return add_heads(parts.modules, "linear", x, y, seed=0)

    def data(self) -> DeviceImages:
        """Return noise in the form of CIFAR's images; only the time matters."""
        pixels = np.random.default_rng(0).integers(0, 256, (self.batch * self.steps, 3, 32, 32))
        labels = np.arange(len(pixels)) % 10
        names = tuple("0123456789")
        return DeviceImages(ImageSet(pixels.astype(np.uint8), labels, names, "noise"))

    def schedule(self) -> Schedule:
        """Return one epoch."""
        return Schedule(epochs=1, batch_size=self.batch, lr=0.05)


def measure(meter: Meter, case: Case | None = None) -> Iterator[Row]:
    """Yield the time of a step in one process and in one for each module, and what decides it."""
    case = case or Case()
    target = Target("ratio", 1 / 1.6)
    for modules in case.modules:
        net = case.network(modules)
        size = f"ResNet-{case.depth}, {case.batch} of 32², {modules} modules"
        for name, rule in RULES.items():
            one, many, stale = _in_turns(meter, case, net, rule)
            aim = target if modules == case.modules[0] and name == "plain local" else None
            yield _row(f"step, {name}", size, many, "one process", one, aim)
            yield counted(f"staleness, {name}", size, "updates", stale)
    for parts in case.parts:
        yield from _micro_batches(meter, case, parts)
    yield from _parts(meter, case)


def _in_turns(
    meter: Meter, case: Case, net: IsolatedNetwork, rule: Rule
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return the milliseconds of steps in one process and in many, and the mean staleness."""
    data = case.data()
    few = DeviceImages(ImageSet(*_first(data, case.batch)), stats=data.stats)
    one, many, stale = [], [], []
    for _ in range(case.rounds):
        meter.compare({})  # how quiet the machine is
        one.append(_one_process(copy.deepcopy(net), rule, data, case))
        done = parallel.launch(copy.deepcopy(net), rule, data, few, case.schedule(), seed=0)
        many.append(1e3 * np.diff(done.updates[-1].end)[_WARM_UP:])
        stale += [ages[_WARM_UP:].mean() for ages in done.staleness()]
    return np.concatenate(one), np.concatenate(many), round(float(np.mean(stale)), 2)


def _first(
    data: DeviceImages, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...], str]:
    images, labels = data.images[:count].numpy(), data.labels[:count].numpy()
    return images, labels, tuple("0123456789"), "noise"


def _one_process(
    net: IsolatedNetwork, rule: Rule, data: DeviceImages, case: Case
) -> NDArray[np.float64]:
    own, ends = optimiser(net.train(), case.schedule(), torch.device("cpu")), []
    for x, y in batches(data, case.schedule(), 10, 0, 1):
        own.zero_grad(set_to_none=True)
        rule.gradients(net, x, y)
        own.step()
        ends.append(time.perf_counter())
    return 1e3 * np.diff(ends)[_WARM_UP:]


def _micro_batches(meter: Meter, case: Case, parts: int) -> Iterator[Row]:
    """Yield the time and the bubble of back-propagation in a pipeline of micro-batches."""
    modules = case.modules[0]
    net = case.network(modules)
    whole = IsolatedNetwork([torch.nn.Sequential(*net.local_modules)], [net.heads[-1]])
    x, y = case.data().at(slice(0, case.batch))
    one, many, idle = [], [], []
    for _ in range(case.rounds):
        meter.compare({})  # how quiet the machine is
        one.append(_one_process(copy.deepcopy(whole), BP(), case.data(), case))
        done = parallel.pipelined(net, x, y, parts, steps=case.steps)
        many.append(1e3 * done.seconds()[_WARM_UP:])
        idle.append(done.idle()[_WARM_UP:])
    size = f"ResNet-{case.depth}, {case.batch} of 32², {modules} modules, {parts} parts"
    yield _row("step, BP of micro-batches", size, np.concatenate(many), "one process",
               np.concatenate(one), None)  # fmt: skip
    low, middle, high = np.quantile(np.concatenate(idle), [0.25, 0.5, 0.75])
    bubble = (modules - 1) / (parts + modules - 1)
    yield Row("idle share, BP of micro-batches", size, "of the time", middle, low, high,
              case.rounds * (case.steps - _WARM_UP), middle, "the model", bubble)  # fmt: skip


def _parts(meter: Meter, case: Case) -> Iterator[Row]:
    """Yield what :class:`localbook.local.parallel.Scaling` is made of."""
    net = case.network(case.modules[0])
    module, head = next(net.pairs())
    x, _ = case.data().at(slice(0, case.batch))
    out = module(x).detach().requires_grad_()
    size = f"{case.batch} of {'x'.join(map(str, out.shape[1:]))}"
    times = meter.compare({"head": partial(_head_step, head, out)})["head"]
    yield Row("head, forward and backward", size, UNIT, times.wall, times.wall, times.wall,
              times.n)  # fmt: skip
    message = out.numel() * out.element_size()
    yield counted("message, plain local", size, "MiB", message / _MIB)
    speeds = [bytes_a_second(message) / _MIB for _ in range(case.rounds)]
    low, middle, high = np.quantile(speeds, [0.25, 0.5, 0.75])
    yield Row("connection, gloo", size, "MiB a second", middle, low, high, len(speeds))


def _head_step(head: torch.nn.Module, out: torch.Tensor) -> None:
    head(out).sum().backward()


def _row(
    what: str,
    size: str,
    found: NDArray[np.float64],
    baseline: str,
    other: NDArray[np.float64],
    target: Target | None,
) -> Row:
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
    return Row(what, size, UNIT, middle, low, high, len(found), middle, baseline,
               float(np.median(other)), target)  # fmt: skip
