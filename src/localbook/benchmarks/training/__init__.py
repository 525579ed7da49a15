"""Training."""

from localbook.benchmarks.training.parallel import measure as parallel
from localbook.benchmarks.training.penalties import measure_reconcile as reconcile
from localbook.benchmarks.training.profile import measure as profile
from localbook.benchmarks.training.second_derivatives import measure as second_derivatives
from localbook.benchmarks.training.steps import measure_memory as memory
from localbook.benchmarks.training.steps import measure_time as step_time
from localbook.benchmarks.training.whole import measure_train as train

__all__ = [
    "memory",
    "parallel",
    "profile",
    "reconcile",
    "second_derivatives",
    "step_time",
    "train",
]
