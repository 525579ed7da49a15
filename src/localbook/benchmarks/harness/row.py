"""One line of a benchmark: what was measured, beside what, and whether a target is met."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from localbook.benchmarks.harness.meter import Meter, Timing
from localbook.errors import RecordError

NOISY = 0.2
"""From this spread of a fixed piece of work on, the machine is too noisy for close calls."""

Verdict = Literal["met", "missed", "too noisy to tell", ""]
_SUFFIX = {"ms": " ms", "MiB": " MiB"}


@dataclass(frozen=True)
class Target:
    """What a row should reach.

    By its ``kind`` at most the limit, at most the limit times the baseline ("ratio"), or the
    baseline.
    """

    kind: str
    limit: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("value", "ratio", "equal"):
            raise RecordError(f"a target is of kind value, ratio or equal, not {self.kind!r}.")


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes
    ----------
    what, size : str
        Such as "planar zonotope" and "10,000 generators".
    unit : str
        "ms" (of processor time), "ms on the wall", "MiB", or what is counted.
    value, low, high : float
        Median and quartiles; all the same where nothing varies.
    n : int
        Samples.
    wall : float or None
        The median time on the wall, where time was measured.
    baseline : str
        What it is compared with; empty for nothing.
    baseline_value : float or None
    target : Target or None
    """

    what: str
    size: str
    unit: str
    value: float
    low: float
    high: float
    n: int
    wall: float | None = None
    baseline: str = ""
    baseline_value: float | None = None
    target: Target | None = None

    def __post_init__(self) -> None:
        if self.baseline_value is None and (self.baseline or self._needs_baseline()):
            raise RecordError(
                f"the row {self.what!r}, {self.size!r}, needs the value of its baseline."
            )

    def _needs_baseline(self) -> bool:
        return self.target is not None and self.target.kind != "value"

    @property
    def ratio(self) -> float | None:
        """The baseline over the value: how many times faster or smaller this is."""
        if self.baseline_value is None or self.value == 0:
            return None
        return self.baseline_value / self.value

    @property
    def limit(self) -> float | None:
        """The largest value that meets the target."""
        if self.target is None:
            return None
        if self.target.kind == "value":
            return self.target.limit
        return self.target.limit * (self.baseline_value or 0.0)

    def verdict(self, noise: float) -> Verdict:
        """Say whether the target is met, on a machine with this spread of a fixed work."""
        if self.target is None or self.limit is None:
            return ""
        if self.target.kind == "equal":
            return "met" if self.value == self.limit else "missed"
        slack = 1 + noise if self.unit.startswith("ms") and noise >= NOISY else 1
        if slack > 1 and self.low / slack <= self.limit <= self.high * slack:
            return "too noisy to tell"
        return "met" if self.value <= self.limit else "missed"

    def words(self) -> str:
        """Return the target in words."""
        if self.target is None:
            return ""
        if self.target.kind == "equal":
            return "equal"
        if self.target.kind == "value":
            return f"≤ {number(self.target.limit)}{_SUFFIX.get(self.unit, '')}"
        return f"≤ {number(self.target.limit)} × baseline"


Measure = Callable[[Meter], Iterator[Row]]
"""A benchmark: yields its rows as they are measured."""


def timed(
    what: str, size: str, timing: Timing, baseline: str = "", other: Timing | None = None,
    target: Target | None = None,
) -> Row:  # fmt: skip
    """Return the row of a routine's time beside a baseline's."""
    return Row(
        what, size, "ms", timing.median, timing.low, timing.high, timing.n, timing.wall,
        baseline, other.median if other else None, target,
    )  # fmt: skip


def by_turns(what: str, size: str, ratios: list[float], target: Target | None = None) -> Row:
    """Return the row of a routine's times over another's, of calls in succession."""
    low, median, high = map(float, np.quantile(ratios, [0.25, 0.5, 0.75]))
    unit = "times as long, by turns"
    return Row(what, size, unit, median, low, high, len(ratios), target=target)


def counted(
    what: str, size: str, unit: str, value: float, baseline: str = "",
    baseline_value: float | None = None, target: Target | None = None,
) -> Row:  # fmt: skip
    """Return the row of something that does not vary."""
    return Row(what, size, unit, value, value, value, 1, None, baseline, baseline_value, target)


def number(value: float) -> str:
    """Return a number with three digits, whole numbers in full."""
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
