"""Where the time of a step of SGR goes, by kinds of operations, beside back-propagation's."""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from torch.profiler import ProfilerActivity, profile

from localbook.benchmarks.harness import Meter, Row, counted
from localbook.benchmarks.training.steps import TARGET, Cases, small, step
from localbook.local import BP, SGR

_BATCH = 16
_RUNS = 5
# By parts of the names that PyTorch gives to operations and to the nodes of its backward graphs.
_NAMES = {
    "products and convolutions": ("conv", "mm", "matmul", "linear", "attention"),
    "normalisation": ("norm",),
}
_REST = "element by element, and the rest"
KINDS = (*_NAMES, _REST)


def measure(meter: Meter, cases: Cases | None = None) -> Iterator[Row]:
    """Yield the time of each kind of operation in a step of SGR, beside BP's.

    PyTorch's profiler reads the clock on the wall, so the machine has to be quiet.
    """
    for size, build in (cases or small(_BATCH)).items():
        case = build()
        ours, bp = (by_kind(partial(step, rule, case), meter) for rule in (SGR(0.1), BP()))
        for kind in KINDS:
            yield counted(f"{kind}, {TARGET}", size, "ms on the wall", ours[kind], "BP", bp[kind])


def by_kind(routine: Callable[[], object], meter: Meter) -> dict[str, float]:
    """Return the milliseconds that a routine spends in each kind, the median of several calls."""
    routine()
    calls = []
    for _ in range(_RUNS):
        meter.check()
        calls.append(_profiled(routine))
    return {kind: median(call[kind] for call in calls) for kind in KINDS}


def _profiled(routine: Callable[[], object]) -> dict[str, float]:
    with profile(activities=[ProfilerActivity.CPU]) as found:
        routine()
    spent = dict.fromkeys(KINDS, 0.0)
    for event in found.events() or ():
        if event.cpu_parent is None:  # whose time holds that of all it calls
            spent[_kind(event.name)] += event.cpu_time_total / 1e3
    return spent


def _kind(name: str) -> str:
    words = name.lower()
    return next((kind for kind, parts in _NAMES.items() if any(p in words for p in parts)), _REST)
