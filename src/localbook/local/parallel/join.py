"""Joining the processes that ``torchrun`` or :func:`localbook.local.parallel.launch` started."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous as met

from localbook.errors import ConfigError, TrainingError
from localbook.local.parallel.seat import Seat
from localbook.local.training import LostError

Value = TypeVar("Value")
_PATIENCE = 3.0  # seconds
_LOST = "localbook/lost"  # the store's key for who died first


class Store(Protocol):
    """What is used of torch.distributed's key-value stores."""

    def compare_set(self, key: str, expected: str, desired: str) -> bytes:
        """Set a value if there is none yet, and return the one there is then."""
        ...


class DiedError(TrainingError):
    """A process of a run died, and the run with it."""

    @classmethod
    def of(cls, name: str, how: str = "") -> "DiedError":
        """Return the error that names who died, and how."""
        return cls(
            f"{name} died{how}, and so the run ended; start it again with the same checkpoint "
            "folder to continue from the last epoch that all modules have finished."
        )


@dataclass(frozen=True)
class Team:
    """The processes that train a network's modules, as one of them sees it.

    Attributes
    ----------
    seat : Seat
        Its own.
    store : Store
        Where the first to miss a process leaves its name.
    replicas : dist.ProcessGroup or None
        The processes of the same module; None if there is one.
    """

    seat: Seat
    store: Store
    replicas: dist.ProcessGroup | None

    def agreed(self, value: Value) -> Value:
        """Return the value of rank 0, in every process."""
        told = [value]
        dist.broadcast_object_list(told, src=0)
        return told[0]

    def blame(self, rank: int | None) -> str:
        """Return who is missing: when one process dies, others end, and are missed in turn."""
        name = str(self.seat.at(rank)) if rank is not None else f"a replica of {self.seat}"
        try:
            return self.store.compare_set(_LOST, "", name).decode()
        except RuntimeError:  # the store was with the process that died
            return name


@contextmanager
def joined(
    modules: int, rendezvous: str = "env://", *, device: str = "", **place: int
) -> Iterator[Team]:
    """Join the other processes, each of which holds one module.

    Under ``torchrun``, inside this context :func:`localbook.local.parallel.train` can be called.
    On GPUs, each process uses that of its own number.

    Parameters
    ----------
    modules : int
    rendezvous : str
        Where the processes meet; ``torchrun``'s by default.
    device : str
        ``"cuda"`` (messages go by NCCL) or ``"cpu"`` (gloo); if empty, GPUs where there are some.
    **place : int
        ``rank`` and ``world_size``, where ``torchrun`` does not set them.

    Raises
    ------
    ConfigError
        Without torch.distributed, without other processes, or if there is not one for each module
        or a multiple of that.
    DiedError
        When another process has died; the sentence names it.
    """
    check_distributed()
    if not place and "WORLD_SIZE" not in os.environ:
        raise ConfigError(
            "there are no other processes to train with; start this one with "
            f"`torchrun --nproc-per-node={modules}`, or call localbook.local.parallel.launch."
        )
    processes = place.get("world_size", int(os.environ.get("WORLD_SIZE", "1")))
    seat = Seat.among(place.get("rank", int(os.environ.get("RANK", "0"))), processes, modules)
    gpu = device == "cuda" or (not device and torch.cuda.is_available())
    if gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", seat.rank)))
    if not place:
        _take_time_to_tell()
    store, rank, size = next(iter(met(rendezvous, **place)))
    dist.init_process_group("nccl" if gpu else "gloo", store=store, rank=rank, world_size=size)
    try:
        team = Team(seat, store, _replicas(seat))
        try:
            yield team
        except LostError as error:
            raise DiedError.of(team.blame(error.rank)) from error
    finally:
        dist.destroy_process_group()


def check_distributed() -> None:
    """Refuse a PyTorch that cannot train in several processes."""
    if not dist.is_available():
        raise ConfigError(
            "this PyTorch was built without torch.distributed; install one that has it, or train "
            "in one process with localbook.local.train."
        )


def _take_time_to_tell() -> None:
    """Let this process say who died before it ends, when ``torchrun`` ends it for the same reason.

    Which comes first, the closed connection or the signal, is a race.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: _end_soon())


def _end_soon() -> None:
    timer = threading.Timer(_PATIENCE, os._exit, (128 + signal.SIGTERM,))
    timer.daemon = True
    timer.start()


def _replicas(seat: Seat) -> dist.ProcessGroup | None:
    """Return the group of this module's replicas; every process has to make all groups."""
    if seat.replicas == 1:
        return None
    size = seat.replicas
    groups = [
        dist.new_group(list(range(module * size, (module + 1) * size)))
        for module in range(seat.modules)
    ]
    return cast(dist.ProcessGroup, groups[seat.module])
