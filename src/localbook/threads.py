"""How many threads torch computes with: one, unless measuring says that more pay.

Threads of two programs that share cores wait for one another, at every operation of a small
network; a choice is kept beside unfinished work, for sums are rounded as threads share them.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from localbook.errors import ConfigError
from localbook.files import write_json

FILE = "threads.json"
_PAYS = 0.95  # of the time that one thread takes
_CALLS = 5
_ENOUGH = 1.0  # seconds


@dataclass(frozen=True)
class Threads:
    """What torch may compute with: ``now``, and ``most`` where measuring says that they pay."""

    now: int
    most: int

    @classmethod
    def asked(cls, count: int | None, processes: int = 1) -> "Threads":
        """Return what was asked for, by number or OMP_NUM_THREADS; else this process's cores."""
        if count is not None and count < 1:
            raise ConfigError(f"threads={count}: give at least one.")
        told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        if count is None and told.isdecimal() and int(told) > 0:
            count = int(told)
        return cls(count, count) if count else cls(1, max(1, _cores() // processes))

    @classmethod
    def kept(cls, folder: Path, count: int | None, processes: int = 1) -> "Threads":
        """Return those of the work in a folder, or new ones; refuse another number than it has."""
        path, asked = folder / FILE, cls.asked(count, processes)
        if not path.exists():
            return asked
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path} cannot be read; delete {folder} to start over.") from error
        if count is not None and found.now == found.most != count:
            raise ConfigError(
                f"{folder} was begun with threads={found.now}, and others would round otherwise; "
                "continue with that number, or delete the folder to start over."
            )
        return found

    def keep(self, folder: Path) -> None:
        """Write them beside the work that they are for."""
        write_json(self, folder / FILE)

    def measured(self, call: Callable[[], object]) -> "Threads":
        """Return one of the two numbers: ``most`` if a call takes clearly less time by them."""
        if self.now == self.most:
            return self
        few, many = (_seconds(call, count) for count in (self.now, self.most))
        chosen = self.most if many < _PAYS * few else self.now
        return Threads(chosen, chosen)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _seconds(call: Callable[[], object], count: int) -> float:
    """Return the median time of some calls on the wall, the first one left out if it was short."""
    taken: list[float] = []
    with computing(count):
        while len(taken) <= _CALLS and sum(taken) < _ENOUGH:
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return median(taken[1:] or taken)


@contextmanager
def computing(count: int) -> Iterator[None]:
    """Let torch compute with so many threads, and with as many as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
