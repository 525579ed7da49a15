"""Benchmarks: one question each, answered by ratios to baselines that run in the same process."""

from localbook.benchmarks.harness import (
    Benchmark,
    Meter,
    Row,
    Target,
    Timing,
    caption,
    load,
    read,
    table,
    write,
)
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
