"""Benchmarks on a GPU: its clock, and which of them run there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localbook.benchmarks.harness.meter import Meter
from localbook.errors import ConfigError

RUN_THERE = ("memory", "reconcile", "second-derivatives", "step-time", "train")


def gpu_meter(name: str) -> Meter:
    """Return a meter that reads a GPU's clock; refuse a benchmark without a part for a GPU."""
    import torch

    if name not in RUN_THERE:
        raise ConfigError(
            f"benchmark {name!r} does not run on a GPU; {', '.join(RUN_THERE)} do. Leave out --gpu."
        )
    if not torch.cuda.is_available():
        raise ConfigError("--gpu needs a CUDA device and torch finds none; leave it out.")
    new_event: Any = torch.cuda.Event
    clock = DeviceClock(lambda: new_event(enable_timing=True))
    return Meter(processor=clock, device="cuda")


@dataclass
class DeviceClock:
    """Seconds on a GPU's own clock, at which all work given to it before is done.

    ``event`` makes a new event, such as ``torch.cuda.Event(enable_timing=True)``.
    """

    event: Callable[[], Any]
    _start: Any = field(init=False)

    def __post_init__(self) -> None:
        self._start = self.event()
        self._start.record()

    def __call__(self) -> float:
        """Return the seconds since this clock was made."""
        now = self.event()
        now.record()
        now.synchronize()
        milliseconds: float = self._start.elapsed_time(now)
        return milliseconds / 1e3
