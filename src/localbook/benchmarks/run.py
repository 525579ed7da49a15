"""The benchmarks by name."""

from collections.abc import Callable

from localbook.benchmarks import book, geometry, language, multigrid, training
from localbook.benchmarks.harness import GPU, Benchmark, Measure, Meter, Row, gpu_meter
from localbook.errors import ConfigError
from localbook.runs import provenance

BENCHMARKS: dict[str, Measure] = {
    "book": book.measure,
    "language": language.measure,
    "multigrid": multigrid.measure,
    **geometry.BENCHMARKS,
    **training.BENCHMARKS,
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
        raise ConfigError(
            f"unknown benchmark {name!r}; choose one of {', '.join(sorted(BENCHMARKS))}."
        )
    meter = meter or (gpu_meter(name) if gpu else Meter())
    rows = []
    for row in BENCHMARKS[name](meter):
        rows.append(row)
        if report:
            report(row)
    called = f"{name}{GPU}" if gpu else name
    return Benchmark(name=called, noise=meter.noise, rows=rows, **provenance(meter.device))
