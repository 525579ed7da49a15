"""Harness."""

from localbook.benchmarks.harness.gpu import gpu_meter
from localbook.benchmarks.harness.meter import Meter, Routine, Timing, peak_mib
from localbook.benchmarks.harness.record import GPU, Benchmark, load, read, write
from localbook.benchmarks.harness.row import Row, Target, by_turns, counted, timed
from localbook.benchmarks.harness.tables import caption, table

__all__ = [
    "GPU",
    "Benchmark",
    "Meter",
    "Routine",
    "Row",
    "Target",
    "Timing",
    "by_turns",
    "caption",
    "counted",
    "gpu_meter",
    "load",
    "peak_mib",
    "read",
    "table",
    "timed",
    "write",
]
