"""The benchmarks by name."""

from collections.abc import Callable, Iterator

from localbook.benchmarks import book, geometry, language, multigrid, training
from localbook.benchmarks.harness import GPU, Benchmark, Meter, Row, gpu_meter
from localbook.errors import ConfigError
from localbook.runs import provenance

BENCHMARKS: dict[str, Callable[[Meter], Iterator[Row]]] = {
    "book": book.measure,
    "boundary": geometry.measure_boundary,
    "language": language.measure,
    "memory": training.measure_memory,
    "memory-paper": training.measure_paper_scale,
    "multigrid": multigrid.measure,
    "parallel": training.measure_parallel,
    "peers": geometry.measure_peers,
    "profile": training.measure_profile,
    "reconcile": training.measure_reconcile,
    "regions": geometry.measure_regions,
    "second-derivatives": training.measure_second_derivatives,
    "step-time": training.measure_time,
    "threads": training.measure_threads,
    "train": training.measure_train,
    "zonotope": geometry.measure_zonotope,
}


def run(
    name: str,
    meter: Meter | None = None,
    report: Callable[[Row], None] | None = None,
    *,
    gpu: bool = False,
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
    gpu : bool
        Measure on a GPU, in place of the processor. The record's name then ends in ``-gpu``.

    Raises
    ------
    ConfigError
        If there is no such benchmark, a baseline's library is missing, or there is no GPU for it.
    """
    if name not in BENCHMARKS:
        raise ConfigError(f"unknown benchmark {name!r}; choose one of {', '.join(BENCHMARKS)}.")
    meter = meter or (gpu_meter(name) if gpu else Meter())
    rows = []
    for row in BENCHMARKS[name](meter):
        rows.append(row)
        if report:
            report(row)
    called = f"{name}{GPU}" if gpu else name
    return Benchmark(name=called, noise=meter.noise, rows=rows, **provenance(meter.device))
