"""One task on many items at once: by processes of this machine, or by a Dask cluster."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from localbook.errors import ConfigError, TrainingError

Item = TypeVar("Item")
Result = TypeVar("Result")

_ATTEMPTS = 3


def in_processes(
    task: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, as they come, from processes of this machine.

    A process that is killed takes down its pool; what had not finished is tried again in a new one.
    What a task raises, or an interrupt: what has been yielded stays, what runs ends, and what has
    not begun is not begun.
    """
    waiting = deque(items)
    for _ in range(_ATTEMPTS):
        running: dict[Future[Result], Item] = {}
        pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        try:
            while waiting or running:
                while waiting and len(running) < workers:  # what is handed over cannot be recalled
                    running[pool.submit(task, waiting[0])] = waiting[0]
                    waiting.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
            return
        except BrokenProcessPool:
            waiting.extendleft(running.values())
        finally:
            pool.shutdown(cancel_futures=True)
    raise TrainingError(
        f"worker processes were killed {_ATTEMPTS} times, so {len(waiting)} runs are unfinished; "
        "if memory ran out use fewer --workers, and continue with --resume."
    )


def on_cluster(
    task: Callable[[Item], Result], items: Sequence[Item], address: str
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, as they come, from the workers of a Dask scheduler.

    Dask gives the work of a worker that was killed to another.
    """
    try:
        from distributed import Client
        from distributed import as_completed as as_they_come
    except ImportError as error:
        raise ConfigError(
            'a cluster needs Dask; install it with: pip install "localbook[cluster]"'
        ) from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address!r}; start one with `dask scheduler`, and give "
            "the address that it prints."
        ) from error
    with client:
        futures = {client.submit(task, item, pure=False): item for item in items}
        for future in as_they_come(futures):
            yield futures[future], future.result()
