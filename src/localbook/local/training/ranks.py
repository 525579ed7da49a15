"""Training in several processes that ``torchrun`` started, each on its share of every batch.

Rules fill ``.grad`` by several backward passes, or without one, so the gradients are averaged after
them instead of by DistributedDataParallel's hooks; what is computed is the same: each process sees
its share of the joint batch, and all take the step of the mean gradient. BatchNorm normalises each
share by itself, as under DistributedDataParallel.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from localbook.errors import ConfigError, TrainingError


class LostError(TrainingError):
    """The process of a rank does not answer any more; None: one of those that share the batch."""

    def __init__(self, rank: int | None) -> None:
        super().__init__(
            "another process of this training ended; start all of them again with the same "
            "checkpoint to continue."
        )
        self.rank = rank


@dataclass(frozen=True)
class Ranks:
    """The processes that train together, of which this one's number is ``rank``; number 0 writes.

    The ``group`` is theirs; None if it is that of all processes.
    """

    rank: int = 0
    size: int = 1
    group: "dist.ProcessGroup | None" = None

    @classmethod
    def here(cls) -> "Ranks":
        """Return this process and those it trains with; alone if no group was joined."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's part of a joint batch (N, ...)."""
        return batch.chunk(self.size)[self.rank]

    def check_batch(self, size: int) -> None:
        """Refuse a batch that cannot be shared out evenly."""
        if size % self.size:
            raise ConfigError(
                f"batch_size={size} cannot be shared evenly by {self.size} processes; "
                f"take a multiple of {self.size}."
            )

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors of floating-point numbers by their mean over all processes."""
        found = list(tensors)
        if self.size == 1 or not found:
            return
        joint = torch.cat([tensor.flatten() for tensor in found])
        _answered(dist.all_reduce, joint, group=self.group)
        joint /= self.size
        for tensor, part in zip(found, torch.split(joint, [t.numel() for t in found]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def follow_first(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by those of process 0."""
        if self.size == 1:
            return
        first = dist.get_global_rank(self.group, 0) if self.group else 0
        for tensor in tensors:
            # gloo moves memory in the order it has, which need not be that of the numbers
            dense = tensor.detach().contiguous()
            _answered(dist.broadcast, dense, src=first, group=self.group)
            tensor.detach().copy_(dense)

    def check_same(self, number: int, what: str) -> None:
        """Refuse to go on when the processes do not agree on a number."""
        if self.size == 1:
            return
        found: list[int | None] = [None] * self.size
        dist.all_gather_object(found, number)
        if len(set(found)) > 1:
            raise ConfigError(
                f"the processes do not agree on {what} ({found}); "
                "give all of them the same command and a folder that all can read."
            )


def _answered(call: Callable[..., object], *args: object, **how: object) -> None:
    try:
        call(*args, **how)
    except RuntimeError as error:
        raise LostError(None) from error


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started with this one, if it did.

    Each process uses the GPU of its own number where there are GPUs (NCCL), else the CPU (gloo).
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield Ranks.here()
    finally:
        dist.destroy_process_group()
