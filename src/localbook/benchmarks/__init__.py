"""Benchmarks: one question each, answered by ratios to baselines that run in the same process."""

from localbook.benchmarks.harness.meter import Meter, Timing
from localbook.benchmarks.harness.record import Benchmark, load, read, write
from localbook.benchmarks.harness.row import Row, Target
from localbook.benchmarks.harness.tables import caption, table
from localbook.benchmarks.run import BENCHMARKS, run

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
