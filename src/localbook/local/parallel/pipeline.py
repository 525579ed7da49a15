"""Back-propagation through modules in processes of their own: a pipeline of micro-batches.

What local learning in such processes is to be compared with. The schedule is GPipe's (Huang et al.,
2019): a batch is cut into parts, which go forward one after the other and come back in the opposite
order. No weight changes before all are back, so the gradient is that of the whole batch.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

from localbook.errors import ConfigError
from localbook.fit import evaluating
from localbook.local.networks import IsolatedNetwork, copied
from localbook.local.parallel.join import joined
from localbook.local.parallel.result import Updates
from localbook.local.parallel.seat import Seat


@dataclass(frozen=True)
class Pipelined:
    """What the steps of a pipeline found.

    Attributes
    ----------
    gradients : list of Tensor
        Of one step, for the parameters of all modules and then of the last head.
    passes : list of Updates
        For each module when its passes began and ended, and of which part they were: in each step
        the parts forward, then backward.
    parts : int
    """

    gradients: list[Tensor]
    passes: list[Updates]
    parts: int

    def seconds(self) -> NDArray[np.float64]:
        """Return how long each step took, from the first pass's beginning to the last one's end."""
        begin, end = self._times()
        length: NDArray[np.float64] = end.max((0, 2)) - begin.min((0, 2))
        return length

    def idle(self) -> NDArray[np.float64]:
        """Return, for each step, the share of the time for which a process waits: the bubble."""
        begin, end = self._times()
        busy = (end - begin).sum((0, 2))
        share: NDArray[np.float64] = 1 - busy / (len(begin) * self.seconds())
        return share

    def _times(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return when passes began and ended, each by module, step and pass."""
        shape = (len(self.passes), -1, 2 * self.parts)
        begin, end = ([getattr(own, at) for own in self.passes] for at in ("begin", "end"))
        return np.reshape(begin, shape), np.reshape(end, shape)


@dataclass(frozen=True)
class _Task:
    net: IsolatedNetwork
    batch: list[tuple[Tensor, Tensor]]
    borders: list[Tensor]
    steps: int
    rest: float
    threads: int
    folder: Path


def pipelined(
    net: IsolatedNetwork,
    x: Tensor,
    y: Tensor,
    parts: int,
    *,
    steps: int = 1,
    rest: float = 0.0,
    threads: int = 1,
) -> Pipelined:
    """Return the gradient of the last head's mean cross-entropy, computed in a pipeline.

    A script that calls this must do so under ``if __name__ == "__main__":``, for the processes
    import it; a notebook need not. BatchNorm normalises each part by itself, as in any such
    pipeline; without it the gradient is that of one process.

    Parameters
    ----------
    net : IsolatedNetwork
        On the CPU, with two modules or more; only its last head is used. It is not changed.
    x, y : Tensor
        A batch, and its classes.
    parts : int
        How many micro-batches of equal size it is cut into.
    steps : int
        How many times, for the clock.
    rest : float
        Seconds that every pass rests, to imitate a slower device.
    threads : int
        Of each process.

    Raises
    ------
    ConfigError
        If the batch cannot be cut so, or there are fewer than two modules.
    """
    Seat(0, len(net))
    if parts < 1 or len(x) % parts or len(x) != len(y):
        raise ConfigError(
            f"{len(x)} samples with {len(y)} labels cannot be cut into {parts} equal parts; take a "
            "number of parts that divides the batch."
        )
    batch = list(zip(x.chunk(parts), y.chunk(parts), strict=True))
    with tempfile.TemporaryDirectory() as name:
        task = _Task(net, batch, _borders(net, batch[0][0]), steps, rest, threads, Path(name))
        start_processes(_child, (task,), nprocs=len(net), start_method="spawn")
        told = [torch.load(Path(name) / f"{n}.pt", weights_only=True) for n in range(len(net))]
    gradients = [gradient for own in told for gradient in own["gradients"]]
    return Pipelined(gradients, [Updates(*own["passes"]) for own in told], parts)


@torch.no_grad()
def _borders(net: IsolatedNetwork, x: Tensor) -> list[Tensor]:
    """Return a tensor like what crosses each border, from a part of the batch."""
    found = []
    with evaluating(net):
        for module in net.local_modules:
            x = module(x)
            found.append(torch.empty_like(x))
    return found


def _child(rank: int, task: _Task) -> None:
    """Be the process of a module."""
    torch.set_num_threads(task.threads)
    place = {"rank": rank, "world_size": len(task.net)}
    own = copied(task.net).train()  # the processes share the memory of what they are given
    stage = own.local_modules[rank]
    last = rank == len(own) - 1
    weights = [*stage.parameters(), *(own.heads[-1].parameters() if last else ())]
    passes = Updates()
    meeting = f"file://{task.folder}/rendezvous"
    with joined(len(own), meeting, device="cpu", **place) as team:
        for _ in range(task.steps):
            for weight in weights:
                weight.grad = None
            dist.barrier()
            _step(stage, own.heads[-1] if last else None, team.seat, task, passes)
        dist.barrier()
    gradients = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
    told = {"gradients": gradients, "passes": [passes.begin, passes.end, passes.used]}
    torch.save(told, task.folder / f"{rank}.pt")


def _step(
    stage: nn.Module, head: nn.Module | None, seat: Seat, task: _Task, passes: Updates
) -> None:
    """Send all parts forward through a module, then all errors back."""
    kept: list[tuple[Tensor, Tensor]] = []
    sent: list[dist.Work | None] = []
    total = sum(len(y) for _, y in task.batch)
    for number, (x, y) in enumerate(task.batch):
        if seat.before is not None:
            x = torch.empty_like(task.borders[seat.module - 1])
            dist.recv(x, seat.before)
            x.requires_grad_()
        with _noted(passes, number, task.rest):
            out = stage(x)
            if head is not None:
                out = F.cross_entropy(head(out), y, reduction="sum") / total
        if seat.after is not None:
            sent.append(dist.isend(out.detach().contiguous(), seat.after))
        kept.append((x, out))
    for number in reversed(range(len(kept))):
        x, out = kept.pop()
        slope = None
        if seat.after is not None:
            slope = torch.empty_like(task.borders[seat.module])
            dist.recv(slope, seat.after)
        with _noted(passes, number, task.rest):
            torch.autograd.backward(out, slope)
        if seat.before is not None:  # the module before waits, also for no gradient at all
            error = torch.zeros_like(x) if x.grad is None else x.grad
            sent.append(dist.isend(error.contiguous(), seat.before))
    for work in sent:
        if work is not None:
            work.wait()


@contextmanager
def _noted(passes: Updates, number: int, rest: float) -> Iterator[None]:
    """Note when a pass begins and ends."""
    passes.begin.append(time.time())
    yield
    time.sleep(rest)
    passes.end.append(time.time())
    passes.used.append(number)
