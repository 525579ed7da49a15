"""Networks and rules for the tests of module-parallel training, and a program for torchrun."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from localbook.data import Augment, DeviceImages, ImageSet
from localbook.local import (
    SGR,
    BPFreeSGR,
    ConvNet,
    ForwardForward,
    InfoPro,
    IsolatedNetwork,
    PlainLocal,
    PredSim,
    Schedule,
    equip,
    parallel,
    with_dgl_heads,
    with_length_norm,
)

MODULES = 3
PLAIN = Schedule(epochs=2, batch_size=8, lr=0.05, augment=Augment(1, True), clip=1.0)
SOFT = Schedule(epochs=2, batch_size=8, lr=0.05, label_smoothing=0.1, mixup=0.4)


def images() -> DeviceImages:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (44, 3, 8, 8)).astype(np.uint8)
    return DeviceImages(ImageSet(pixels, np.arange(44) % 4, tuple("abcd"), "made up"))


def convolutions() -> IsolatedNetwork:
    return ConvNet((4, 6, 6), (1, 2, 1)).build(3, 4, 0)


def with_parts(loss) -> IsolatedNetwork:
    return equip(convolutions(), loss, images().at(slice(0, 8))[0], seed=0)


def without_batch_norm() -> IsolatedNetwork:
    """Its joint batch can be shared out without a difference."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        convs = [nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)]
        modules = [nn.Sequential(conv, nn.GroupNorm(2, 4), nn.ReLU()) for conv in convs]
        heads = [nn.Sequential(nn.Flatten(), nn.Linear(4 * n, 4)) for n in (36, 16)]
    return IsolatedNetwork(modules, heads)


# name: network, rule, schedule
CASES = {
    "plain": (convolutions, PlainLocal(), PLAIN),
    "soft targets": (convolutions, PlainLocal(), SOFT),
    "dgl": (
        lambda: with_dgl_heads(convolutions(), images().at(slice(0, 8))[0], seed=0),
        PlainLocal(),
        PLAIN,
    ),
    "predsim": (lambda: with_parts(PredSim(0.5)), PlainLocal(PredSim(0.5)), PLAIN),
    "infopro": (lambda: with_parts(InfoPro()), PlainLocal(InfoPro()), PLAIN),
    "sgr": (convolutions, SGR((0.0, 0.5, 2.0)), PLAIN),
    "sgr, scheduled": (convolutions, SGR(lambda progress: progress), SOFT),
    "sgr, forward": (convolutions, SGR(0.5, derivative="forward_over_reverse"), PLAIN),
    "sgr, bp-free": (convolutions, BPFreeSGR(0.5), PLAIN),
    "forward-forward": (lambda: with_length_norm(convolutions()), ForwardForward(4), PLAIN),
}
REPLICATED = {
    "plain": PlainLocal(),
    "sgr": SGR(0.5),
    "sgr, forward": SGR(0.5, derivative="forward_over_reverse"),
}


class Deaf(nn.Module):
    """A module whose output does not depend on its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight.repeat(len(x), 1)


class Dying(PlainLocal):
    """Plain local learning that ends its process in module 2, as the kernel would."""

    def step(self, module, head, place, signal_):
        if place[0] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(module, head, place, signal_)


def all_cases(out: Path) -> None:
    with parallel.joined(MODULES) as team:
        for name, (network, rule, schedule) in CASES.items():
            first = team.seat.module == 0
            data = images() if first else None
            net = network()
            trained = parallel.train(team, net, rule, data, data, schedule, seed=3)
            number = team.seat.module
            part = [net.local_modules[number].state_dict(), net.heads[number].state_dict()]
            kept = {"part": part, "history": trained.history}
            torch.save(kept, out / f"{name}-{number}.pt")


class Watches(nn.Module):
    """Notes what a dropout mask would be drawn from."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def forward(self, x):
        if self.training:
            self.drawn.append(torch.rand(()).item())
        return x


def replicas(out: Path) -> None:
    with parallel.joined(2) as team:
        watched = without_batch_norm()
        for module in watched.local_modules:
            module.append(Watches())
        parallel.train(team, watched, PlainLocal(), images(), images(), PLAIN, seed=3)
        drawn = watched.local_modules[team.seat.module][-1].drawn
        torch.save(drawn, out / f"drawn-{team.seat.rank}.pt")
        for name, rule in REPLICATED.items():
            net, data = without_batch_norm(), images()
            trained = parallel.train(team, net, rule, data, data, PLAIN, seed=3)
            number = team.seat.module
            part = [net.local_modules[number].state_dict(), net.heads[number].state_dict()]
            kept = {"part": part, "history": trained.history}
            torch.save(kept, out / f"{name}-{number}-{team.seat.replica}.pt")


def dying(out: Path) -> None:
    with parallel.joined(MODULES) as team:
        parallel.train(team, convolutions(), Dying(), images(), images(), PLAIN, seed=3)


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"cases": all_cases, "replicas": replicas, "dying": dying}[sys.argv[1]](Path(sys.argv[2]))
