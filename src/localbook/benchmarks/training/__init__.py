"""Training."""

from localbook.benchmarks.training.paper_scale import measure_paper_scale
from localbook.benchmarks.training.parallel import measure as measure_parallel
from localbook.benchmarks.training.penalties import measure_reconcile
from localbook.benchmarks.training.profile import measure as measure_profile
from localbook.benchmarks.training.second_derivatives import measure as measure_second_derivatives
from localbook.benchmarks.training.steps import measure_memory, measure_time
from localbook.benchmarks.training.threads import measure_threads
from localbook.benchmarks.training.whole import measure_train

__all__ = [
    "measure_memory",
    "measure_paper_scale",
    "measure_parallel",
    "measure_profile",
    "measure_reconcile",
    "measure_second_derivatives",
    "measure_threads",
    "measure_time",
    "measure_train",
]
