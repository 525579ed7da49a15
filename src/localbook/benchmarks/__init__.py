"""Benchmarks: one question each, answered by ratios to baselines that run in the same process."""

from localbook.benchmarks.harness import Benchmark as Benchmark
from localbook.benchmarks.harness import Meter as Meter
from localbook.benchmarks.harness import Row as Row
from localbook.benchmarks.harness import Target as Target
from localbook.benchmarks.harness import caption as caption
from localbook.benchmarks.harness import load as load
from localbook.benchmarks.harness import read as read
from localbook.benchmarks.harness import table as table
from localbook.benchmarks.harness import write as write
from localbook.benchmarks.run import BENCHMARKS as BENCHMARKS
from localbook.benchmarks.run import run as run
