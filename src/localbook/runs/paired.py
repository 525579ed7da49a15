"""Differences between runs that share their seeds: paired, with an interval and a verdict."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localbook.errors import RecordError
from localbook.runs.record import Record

Values = Mapping[int, float] | Sequence[float]


@dataclass(frozen=True)
class Difference:
    """What runs gain over a baseline, seed by seed.

    Attributes
    ----------
    mean : float
        Of the differences, in the metric's unit.
    low, high : float
        The interval in which the true mean difference lies with the level asked for, by Student's
        t on the n differences; infinite for one seed.
    n : int
        Seeds that both have.
    margin : float
        The largest difference that counts as none.
    """

    mean: float
    low: float
    high: float
    n: int
    margin: float = 0.0

    @property
    def verdict(self) -> str:
        """What the interval says of the claim that the runs are higher than the baseline.

        "equivalent" if it lies within the margin, else "confirmed" if it lies above zero, "refuted"
        if below, and "undecided" if it holds zero and reaches past the margin.
        """
        if -self.margin < self.low and self.high < self.margin:
            return "equivalent"
        return "confirmed" if self.low > 0 else "refuted" if self.high < 0 else "undecided"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}], n={self.n}"


def paired(
    values: Values, baseline: Values, *, margin: float = 0.0, level: float = 0.95
) -> Difference:
    """Return the mean difference of two methods that share their seeds, with its interval.

    Parameters
    ----------
    values, baseline : mapping from seed to float, or sequence of float
        Two sequences are paired by their order and must be of one length; two mappings by the
        seeds that both have.
    margin : float
        In the metric's unit: a smaller difference counts as none. State it before looking.
    level : float
        Of the interval, between 0 and 1.

    Raises
    ------
    RecordError
        If nothing can be paired, a value is not finite, or the margin or level make no sense.

    Examples
    --------
    >>> from localbook import runs
    >>> ours, theirs = [0.60, 0.62, 0.61, 0.63], [0.58, 0.59, 0.60, 0.60]
    >>> runs.paired(ours, theirs, margin=0.005).verdict
    'confirmed'
    """
    from scipy.stats import t

    if not (0 <= margin < math.inf and 0 < level < 1):
        raise RecordError(f"margin={margin} must be at least 0, and level={level} in (0, 1).")
    pairs = _pairs(values, baseline)
    differences = [float(one) - float(other) for one, other in pairs]
    if not differences or not all(map(math.isfinite, differences)):
        raise RecordError("pair finite values of the same seeds on each side.")
    n, mean = len(differences), statistics.fmean(differences)
    reach = math.inf
    if n > 1:
        spread = statistics.stdev(differences) / math.sqrt(n)
        reach = float(t.ppf((1 + level) / 2, n - 1)) * spread
    return Difference(mean, mean - reach, mean + reach, n, margin)


def _pairs(values: Values, baseline: Values) -> list[tuple[float, float]]:
    if isinstance(values, Mapping) and isinstance(baseline, Mapping):
        return [(values[seed], baseline[seed]) for seed in values if seed in baseline]
    if isinstance(values, Mapping) or isinstance(baseline, Mapping) or len(values) != len(baseline):
        raise RecordError("pair two mappings by seed, or two sequences of one length.")
    return list(zip(values, baseline, strict=True))


def by_seed(record: Record, metric: str) -> dict[int, float]:
    """Return a metric of the rows of ``final`` by seed.

    Raises
    ------
    RecordError
        If a row lacks the number.

    Examples
    --------
    >>> from localbook import runs
    >>> first, *_ = runs.load("gradient-isolation", profile="cpu")
    >>> list(runs.by_seed(first, "test_accuracy")) == first.seeds
    True
    """
    found = {row["seed"]: row.get(metric) for row in record.final}
    if not all(isinstance(value, int | float) for value in found.values()):
        known = ", ".join(k for k, v in record.final[0].items() if isinstance(v, int | float))
        raise RecordError(
            f"{record.experiment}/{record.method} has no number {metric!r} for every seed; "
            f"it has {known}."
        )
    return {seed: float(value) for seed, value in found.items() if value is not None}
