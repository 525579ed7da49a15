"""Benchmarks: one question each, answered by ratios to baselines that run in the same process."""

from localbook.benchmarks.meter import Meter, Timing
from localbook.benchmarks.record import Benchmark, load, read, write
from localbook.benchmarks.row import Row, Target
from localbook.benchmarks.run import BENCHMARKS, run
from localbook.benchmarks.tables import caption, table

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Meter",
    "Row",
    "Target",
    "Timing",
    "caption",
    "load",
    "read",
    "run",
    "table",
    "write",
]
