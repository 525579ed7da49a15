"""The benchmarks by name."""

from collections.abc import Callable, Iterator

from localbook.benchmarks import book, boundary, fast, parallel, regions, speed, training, zonotope
from localbook.benchmarks.meter import Meter
from localbook.benchmarks.record import Benchmark
from localbook.benchmarks.row import Row
from localbook.errors import ConfigError
from localbook.runs import provenance

BENCHMARKS: dict[str, Callable[[Meter], Iterator[Row]]] = {
    "book": book.measure,
    "boundary": boundary.measure,
    "memory": training.measure_memory,
    "parallel": parallel.measure,
    "reconcile": speed.measure_reconcile,
    "regions": regions.measure,
    "step-time": training.measure_time,
    "train": fast.measure_train,
    "zonotope": zonotope.measure,
}


def run(
    name: str, meter: Meter | None = None, report: Callable[[Row], None] | None = None
) -> Benchmark:
    """Measure one benchmark.

    Parameters
    ----------
    name : str
        A key of ``BENCHMARKS``.
    meter : Meter, optional
        Its clocks; the processor's by default.
    report : callable, optional
        Told every row as soon as it is there.

    Raises
    ------
    ConfigError
        If there is no such benchmark, or a baseline's library is missing.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"unknown benchmark {name!r}; choose one of {', '.join(BENCHMARKS)}.")
    meter = meter or Meter()
    rows = []
    for row in BENCHMARKS[name](meter):
        rows.append(row)
        if report:
            report(row)
    return Benchmark(name=name, noise=meter.noise, rows=rows, **provenance())
