"""A benchmark as a table, and the line that says where it was measured."""

from tabulate import tabulate

from localbook.benchmarks.harness.record import GPU, Benchmark
from localbook.benchmarks.harness.row import Row, number

_HEADER = ("what", "size", "median (quartiles)", "n", "baseline", "ratio", "target", "")


def table(benchmark: Benchmark) -> str:
    """Return a markdown table, one row a measurement; the ratio is the baseline's over this."""
    cells = [_cells(row, benchmark.noise) for row in benchmark.rows]
    text: str = tabulate(cells, headers=_HEADER, tablefmt="github", disable_numparse=True)
    return text


def _cells(row: Row, noise: float) -> tuple[str, ...]:
    unit = f" {row.unit}"
    ratio, baseline = row.ratio, row.baseline_value
    quartiles = f" ({number(row.low)} to {number(row.high)})" if row.n > 1 else ""
    return (
        row.what,
        row.size,
        number(row.value) + unit + quartiles,
        str(row.n) if row.n > 1 else "",
        row.baseline + ("" if baseline is None else f": {number(baseline)}{unit}"),
        "" if ratio is None else number(ratio),
        row.words(),
        row.verdict(noise),
    )


def caption(benchmark: Benchmark) -> str:
    """Return hardware, versions, commit, date, how quiet it was, and the command to repeat it."""
    commit = (benchmark.commit or "unknown")[:9] + ("+" if benchmark.dirty else "")
    wall = any(row.unit.endswith("on the wall") for row in benchmark.rows)
    count = benchmark.hardware.get("threads", 1)
    threads = "one thread" if count == 1 else f"{count} threads"
    clock = f"{threads} a process, time on the wall" if wall else f"{threads}, processor time"
    machine, options = f"{benchmark.hardware['cpu']}, {clock}", ""
    if gpu := benchmark.hardware.get("gpu"):
        machine, options = f"{gpu}, its own clock", " --gpu"
    quiet = "too noisy for close calls" if benchmark.too_noisy else "quiet"
    spread = f"the machine was {quiet} (a fixed work varied by {100 * benchmark.noise:.0f} %); "
    if not benchmark.noise and not wall:  # nothing was timed
        spread, machine = "", machine.partition(",")[0]
    return (
        f"Recorded on {machine}; "
        f"{spread}"
        f"numpy {benchmark.versions['numpy']}; commit {commit}; {benchmark.date[:10]}. "
        f"Again: localbook bench {benchmark.name.removesuffix(GPU)}{options}"
    )
