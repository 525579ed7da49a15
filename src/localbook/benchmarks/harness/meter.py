"""Timing of routines next to one another, and of how quiet the machine is meanwhile."""

import math
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

Routine = Callable[[], object]

_SHORTEST = 0.01  # seconds: a shorter sample would be lost in the clock's steps
_FEWEST = 3
_WORK = np.random.default_rng(0).normal(size=1 << 16)


@dataclass(frozen=True)
class Timing:
    """How long one call takes, in milliseconds.

    Attributes
    ----------
    median, low, high : float
        Of processor time: the median and the quartiles of the samples.
    wall : float
        The median of the time on the wall.
    n : int
        Samples, the warm-up not counted; a short routine is called many times in each.
    """

    median: float
    low: float
    high: float
    wall: float
    n: int


@dataclass
class Meter:
    """Clocks, and the times that one fixed piece of work took between the samples.

    Attributes
    ----------
    processor, wall : callable
        Give seconds. Those of the processor count, on a GPU its own; on a busy machine the others
        are longer.
    samples : int
    most : float
        Seconds of processor time after which a slow routine gets no more samples, but three.
    reference : list of float
        Seconds of processor time of the fixed work, a sort.
    device : str
        Where what is timed computes: ``"cpu"`` or ``"cuda"``.
    """

    processor: Callable[[], float] = time.process_time
    wall: Callable[[], float] = time.perf_counter
    samples: int = 15
    most: float = 4.0
    reference: list[float] = field(default_factory=list)
    device: str = "cpu"

    def compare(self, routines: Mapping[str, Routine]) -> dict[str, Timing]:
        """Time routines in turn, so that a slow spell of the machine meets all of them."""
        loops = {name: self._loops(routine) for name, routine in routines.items()}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in routines}
        for number in range(self.samples):
            self.check()
            for name, routine in routines.items():
                spent = sum(processor for processor, _ in taken[name]) * loops[name]
                if number < _FEWEST or spent < self.most:
                    taken[name].append(self._sample(routine, loops[name]))
        return {name: _timing(pairs) for name, pairs in taken.items()}

    def turns(self, own: Routine, other: Routine) -> list[float]:
        """Return how many times as long as another a routine takes, in calls in succession.

        Both fall into the same spell of the machine, so these ratios vary less than either time.
        """
        pairs = [[self._sample(call, 1)[0] for call in (own, other)] for _ in range(self.samples)]
        return [ours / theirs for ours, theirs in pairs]

    def check(self) -> None:
        """Time the fixed work once more, with its numbers in the processor's caches."""
        np.sort(_WORK)
        self.reference.append(self._sample(lambda: np.sort(_WORK), 5)[0])

    @property
    def noise(self) -> float:
        """The spread of the fixed work, 9th less 1st decile, as a share of its median."""
        low, median, high = np.quantile(self.reference or [1.0], [0.1, 0.5, 0.9])
        return float((high - low) / median)

    def _loops(self, routine: Routine) -> int:
        """Warm up, and return how many calls fill a sample."""
        self._sample(routine, 1)
        return max(1, math.ceil(_SHORTEST / max(self._sample(routine, 1)[1], 1e-7)))

    def _sample(self, routine: Routine, loops: int) -> tuple[float, float]:
        """Return processor seconds and wall seconds of one call."""
        wall, processor = self.wall(), self.processor()
        for _ in range(loops):
            routine()
        return (self.processor() - processor) / loops, (self.wall() - wall) / loops


def _timing(pairs: list[tuple[float, float]]) -> Timing:
    processor, wall = 1e3 * np.array(pairs).T
    low, median, high = np.quantile(processor, [0.25, 0.5, 0.75])
    return Timing(float(median), float(low), float(high), float(np.median(wall)), len(pairs))


def peak_mib(routine: Routine) -> float:
    """Return the most memory that Python and numpy held for a call, in MiB (2^20 bytes)."""
    tracemalloc.start()
    try:
        routine()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
