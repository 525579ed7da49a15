"""Harness."""

from localbook.benchmarks.harness.gpu import gpu_meter as gpu_meter
from localbook.benchmarks.harness.meter import Meter as Meter
from localbook.benchmarks.harness.meter import Routine as Routine
from localbook.benchmarks.harness.meter import peak_mib as peak_mib
from localbook.benchmarks.harness.record import GPU as GPU
from localbook.benchmarks.harness.record import Benchmark as Benchmark
from localbook.benchmarks.harness.record import load as load
from localbook.benchmarks.harness.record import read as read
from localbook.benchmarks.harness.record import write as write
from localbook.benchmarks.harness.row import Measure as Measure
from localbook.benchmarks.harness.row import Row as Row
from localbook.benchmarks.harness.row import Target as Target
from localbook.benchmarks.harness.row import by_turns as by_turns
from localbook.benchmarks.harness.row import counted as counted
from localbook.benchmarks.harness.row import timed as timed
from localbook.benchmarks.harness.tables import caption as caption
from localbook.benchmarks.harness.tables import table as table
