"""How fast messages pass from one process to another."""

import tempfile
import time
from pathlib import Path

import torch
from torch.multiprocessing.spawn import start_processes

from localbook.local import parallel
from localbook.local.parallel import Inbox, Outbox

_COUNT = 30


def bytes_a_second(size: int) -> float:
    """Return the speed of messages of ``size`` bytes, with nothing else to do at either end."""
    with tempfile.TemporaryDirectory() as name:
        start_processes(_end, (size, Path(name)), nprocs=2, start_method="spawn")
        return float((Path(name) / "speed").read_text(encoding="utf-8"))


def _end(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    message = {"x": torch.zeros(size // 4), "y": torch.zeros(1)}
    form = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in message.items()}
    meeting = f"file://{folder}/rendezvous"
    with parallel.joined(2, meeting, device="cpu", rank=rank, world_size=2) as team:
        if team.seat.before is None:
            outbox = Outbox(1)
            for _ in range(_COUNT):
                outbox.send(message)
            outbox.flush()
            return
        inbox = Inbox(0, iter([form] * _COUNT), 4, torch.device("cpu"))
        inbox.take()
        start = time.perf_counter()
        for _ in range(_COUNT - 1):
            inbox.take()
        speed = (_COUNT - 1) * size / (time.perf_counter() - start)
        (folder / "speed").write_text(str(speed), encoding="utf-8")
