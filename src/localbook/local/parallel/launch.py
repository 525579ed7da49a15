"""Starting the processes of a module-parallel run on this machine, and telling why one ended."""

import json
import logging
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, start_processes

from localbook.arrays import Row
from localbook.data import DeviceImages
from localbook.errors import ConfigError, LocalbookError, TrainingError
from localbook.files import write_text
from localbook.local.networks import IsolatedNetwork
from localbook.local.parallel import checkpoints as kept
from localbook.local.parallel.join import DiedError, check_distributed, joined
from localbook.local.parallel.result import Trained, Updates
from localbook.local.parallel.seat import Options, Seat
from localbook.local.parallel.setup import check
from localbook.local.parallel.train import train
from localbook.local.rules import Rule
from localbook.local.training import Schedule, check_fit


@dataclass(frozen=True)
class _Task:
    net: IsolatedNetwork
    rule: Rule
    data: DeviceImages
    held_out: DeviceImages
    schedule: Schedule
    seed: int
    replicas: int
    threads: int
    options: Options
    on_epoch: Callable[[Row], None]
    folder: Path


def silent(row: Row) -> None:
    """Show nothing of an epoch."""


def launch(
    net: IsolatedNetwork,
    rule: Rule,
    data: DeviceImages,
    held_out: DeviceImages,
    schedule: Schedule,
    *,
    seed: int,
    replicas: int = 1,
    threads: int = 1,
    options: Options | None = None,
    on_epoch: Callable[[Row], None] = silent,
) -> Trained:
    """Train a network on this machine, every module in a process of its own.

    A script that calls this must do so under ``if __name__ == "__main__":``, for the processes
    import it; a notebook need not.

    Parameters
    ----------
    net : IsolatedNetwork
        On the CPU; trained in place.
    rule, data, held_out, schedule, seed, options
        As for :func:`localbook.local.parallel.train`.
    replicas : int
        Processes for each module, which share every batch.
    threads : int
        Of each process.
    on_epoch : callable, optional
        A function of a module that can be imported: it is called in the last module's process.

    Raises
    ------
    TrainingError
        When a process dies; the sentence names its module. The others are ended, and the checkpoint
        folder holds what they had finished.
    ConfigError
        When network, data, rule, schedule or checkpoints do not fit, or torch.distributed is
        missing.
    """
    check_distributed()
    seat = Seat(0, len(net), replicas)
    check(net, rule, schedule, len(net), replicas)
    check_fit(net, data, held_out, schedule, seed)
    options = options or Options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.checkpoint is None:
            options = replace(options, checkpoint=folder)
        task = _Task(net, rule, data, held_out, schedule, seed, replicas, threads, options,
                     on_epoch, folder)  # fmt: skip
        with _started(task) as processes:
            _wait(processes, seat, folder)
        if schedule.epochs:
            kept.assemble(net, options.checkpoint or folder)
        return _read(folder)


@contextmanager
def _started(task: _Task) -> Iterator[ProcessContext]:
    """Start the processes; end those that are left on leaving."""
    log = logging.getLogger("torch.multiprocessing.spawn")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of every process that it ends
    world = len(task.net) * task.replicas
    processes = start_processes(_child, (task,), nprocs=world, join=False, start_method="spawn")
    try:
        yield processes
    finally:
        for process in processes.processes:
            if process.is_alive():
                process.terminate()
            process.join()
        log.setLevel(level)


def _wait(processes: ProcessContext, seat: Seat, folder: Path) -> None:
    try:
        while not processes.join():
            pass
    except ProcessExitedException as error:
        told = [_error(folder, rank) for rank in range(len(processes.processes))]
        if own := [each for each in told if each and not isinstance(each, DiedError)]:
            raise own[0] from None
        ended = {
            rank: process.exitcode
            for rank, process in enumerate(processes.processes)
            if process.exitcode is not None and process.exitcode < 0
        }
        died = [rank for rank, code in ended.items() if code != -signal.SIGTERM]
        rank = died[0] if died else error.error_index
        how = f" ({signal.Signals(-ended[rank]).name})" if rank in ended else ""
        raise DiedError.of(f"{seat.at(rank)}", how) from None


def _child(rank: int, task: _Task) -> None:
    """Be the process of a rank."""
    torch.set_num_threads(task.threads)
    place = {"rank": rank, "world_size": len(task.net) * task.replicas}
    try:
        meeting = f"file://{task.folder}/rendezvous"
        with joined(len(task.net), meeting, device="cpu", **place) as team:
            first = team.seat.module == 0
            trained = train(
                team,
                task.net,
                task.rule,
                task.data if first else None,
                task.held_out if first else None,
                task.schedule,
                seed=task.seed,
                options=task.options,
                on_epoch=task.on_epoch,
            )
    except LocalbookError as error:
        text = json.dumps({"kind": type(error).__name__, "text": str(error)})
        # Whole or not at all: a neighbour's death may end this process while it writes.
        write_text(task.folder / f"{rank}.error", text)
        raise SystemExit(1) from None
    if rank == 0:
        _write(task.folder, trained)


def _error(folder: Path, rank: int) -> LocalbookError | None:
    """Return what a process has written down before it ended."""
    path = folder / f"{rank}.error"
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    kinds = {kind.__name__: kind for kind in (ConfigError, TrainingError, DiedError)}
    return kinds.get(told["kind"], TrainingError)(told["text"])


def _write(folder: Path, trained: Trained) -> None:
    updates = [[own.begin, own.end, own.used] for own in trained.updates]
    text = json.dumps({"history": trained.history, "updates": updates})
    write_text(folder / "trained.json", text)


def _read(folder: Path) -> Trained:
    told = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    return Trained(told["history"], [Updates(*own) for own in told["updates"]])
