"""What choosing the threads saves: the command alone, and twice at once, beside torch's own number.

Give it a quiet machine: the runs themselves are what disturbs one another.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from localbook.benchmarks.harness import Meter, Row, Target
from localbook.errors import ConfigError

_RUN = ("gradient-isolation", "--method", "bp", "--seeds", "1")
_OURS, _BEFORE = "chosen", "torch's own number of threads"
_AT_ONCE = {"one run": 1, "two runs at once": 2}
_TARGETS = {"one run": Target("ratio", 1 / 0.95), "two runs at once": Target("ratio", 1 / 5)}


def measure_threads(meter: Meter, changes: tuple[str, ...] = (), rounds: int = 3) -> Iterator[Row]:
    """Yield the time of ``localbook run``, start and all, with threads that it chooses itself.

    Fields may be changed, such as ``"epochs=1"``, for a smaller one. Both ways take ``rounds``
    turns; the meter's fixed work is timed while no run is on.
    """
    words = [*_RUN, *(word for change in changes for word in ("--set", change))]
    own = _python("-c", "import torch; print(torch.get_num_threads())")
    number = own.communicate()[0].strip()
    ways = {_OURS: [], _BEFORE: ["--threads", number]}
    for what, target in _TARGETS.items():
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            meter.check()
            for way, option in ways.items():
                taken[way].append(_seconds([*words, *option], _AT_ONCE[what]))
        low, middle, high = 1e3 * np.quantile(taken[_OURS], [0.25, 0.5, 0.75])
        yield Row(
            what, " ".join(["run", *words]), "ms on the wall", middle, low, high, rounds, middle,
            f"{_BEFORE} ({number} on {os.cpu_count()} cores)",
            1e3 * float(np.median(taken[_BEFORE])), target,
        )  # fmt: skip


def _seconds(words: list[str], count: int) -> float:
    """Return how long it takes until so many runs, begun at once, have ended."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        running = [
            _python("-m", "localbook", "run", *words, "--out", str(Path(folder) / str(number)))
            for number in range(count)
        ]
        for run in running:
            _, said = run.communicate()
            if run.returncode:
                raise ConfigError(f"a run of the benchmark failed: {said.strip()}")
        return time.perf_counter() - start


def _python(*words: str) -> subprocess.Popen[str]:
    """Start Python in an environment that names no number of threads."""
    named = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return subprocess.Popen(  # noqa: S603 -- this interpreter, no shell
        [sys.executable, *words],
        env={name: value for name, value in os.environ.items() if name not in named},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
