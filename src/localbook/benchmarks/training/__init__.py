"""Training."""

from localbook.benchmarks.harness import Measure
from localbook.benchmarks.training import parallel, profile, second_derivatives
from localbook.benchmarks.training.paper_scale import measure_paper_scale
from localbook.benchmarks.training.penalties import measure_reconcile
from localbook.benchmarks.training.steps import measure_memory, measure_time
from localbook.benchmarks.training.threads import measure_threads
from localbook.benchmarks.training.whole import measure_train

BENCHMARKS: dict[str, Measure] = {
    "memory": measure_memory,
    "memory-paper": measure_paper_scale,
    "parallel": parallel.measure,
    "profile": profile.measure,
    "reconcile": measure_reconcile,
    "second-derivatives": second_derivatives.measure,
    "step-time": measure_time,
    "threads": measure_threads,
    "train": measure_train,
}
