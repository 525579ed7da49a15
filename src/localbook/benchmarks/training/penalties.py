"""How much a penalty adds to a step, by distance and path, and compiled."""

from collections.abc import Iterator, Mapping
from functools import partial

from localbook.benchmarks.harness import Meter, Row, timed
from localbook.benchmarks.training.steps import Cases, small, step
from localbook.local import SGR, Compute, PlainLocal, Rule

_BATCH = 16
_WAYS = {
    f"{distance}, {path.replace('_', ' ')}": SGR(0.1, distance, path)
    for distance in ("squared", "relative", "cosine")
    for path in ("double_backward", "forward_over_reverse")
}
PENALTIES: Mapping[str, Rule] = {
    **_WAYS,
    "squared, double backward, one module a step": SGR(0.1, modules_per_step=1),
}


def measure_reconcile(
    meter: Meter, cases: Cases | None = None, backend: str = "inductor"
) -> Iterator[Row]:
    """Yield the time of a step with each form of the penalty, beside plain local learning.

    What is compiled, by a backend of torch.compile, is compiled before its time is taken.
    """
    (size, build), *_ = (cases or small(_BATCH)).items()  # ResNet-32
    case, compute = build().on(meter.device), Compute(compile=backend)
    compiled = {
        f"{name}, compiled": compute.rule(rule)
        for name, rule in _WAYS.items()
        if name.startswith("squared")
    }
    rules: dict[str, Rule] = {"plain local": PlainLocal(), **PENALTIES, **compiled}
    times = meter.compare({name: partial(step, rule, case) for name, rule in rules.items()})
    for name in [*PENALTIES, *compiled]:
        yield timed(name, size, times[name], "plain local", times["plain local"])
