"""How fast the vertices of a zonotope are found, and its volume."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from math import comb

import numpy as np

from localbook.arrays import Floats
from localbook.benchmarks.geometry.baselines_zonotope import (
    all_determinants,
    all_pairs,
    enumerated_qhull,
    incremental_qhull,
    sorted_angles,
)
from localbook.benchmarks.harness import Meter, Routine, Row, Target, counted, timed
from localbook.tropical import Zonotope

Baseline = Callable[[Floats], object]


def numpy_sort(generators: Floats) -> Floats:
    """Sort as many numbers as there are generators: what no method by sorting can do without."""
    return np.sort(generators[:, 0])


@dataclass(frozen=True)
class Sizes:
    """Numbers of generators, and up to how many each baseline is run."""

    plane: tuple[int, ...] = (10, 100, 1000, 10_000, 1_000_000)
    space: tuple[int, ...] = (10, 50, 100, 300, 1000)
    four: tuple[int, ...] = (10, 80)
    five: tuple[int, ...] = (10, 30)
    volumes: tuple[tuple[int, int], ...] = ((3, 20), (3, 100), (5, 30))  # dimension, generators
    plane_baselines: dict[str, tuple[Baseline, int]] = field(
        default_factory=lambda: {
            "sort of angles, plain": (sorted_angles, 1_000_000),
            "numpy's sort": (numpy_sort, 1_000_000),
            "incremental Qhull": (incremental_qhull, 100),
            "2^p points, Qhull": (enumerated_qhull, 10),
        }
    )
    space_baselines: dict[str, tuple[Baseline, int]] = field(
        default_factory=lambda: {
            "all pairs, O(p³)": (all_pairs, 300),
            "incremental Qhull": (incremental_qhull, 50),
            "2^p points, Qhull": (enumerated_qhull, 10),
        }
    )
    higher_baselines: dict[str, tuple[Baseline, int]] = field(
        default_factory=lambda: {"incremental Qhull": (incremental_qhull, 10)}
    )


TARGETS = {
    ("plane", 10_000, ""): Target("value", 1.5),
    ("plane", 1_000_000, "numpy's sort"): Target("ratio", 3),
    ("space", 300, ""): Target("value", 80),
    ("space", 1000, ""): Target("value", 1000),
    ("R^4", 80, ""): Target("value", 165),  # a microsecond a vertex
    ("R^5", 30, ""): Target("value", 56),
}
FASTEST = {"plane": "sort of angles, plain", "space": "all pairs, O(p³)"}


def measure(meter: Meter, sizes: Sizes | None = None) -> Iterator[Row]:
    """Yield times and counts for generators from a normal distribution."""
    sizes = sizes or Sizes()
    places = (
        ("plane", 2, sizes.plane, sizes.plane_baselines),
        ("space", 3, sizes.space, sizes.space_baselines),
        ("R^4", 4, sizes.four, sizes.higher_baselines),
        ("R^5", 5, sizes.five, sizes.higher_baselines),
    )
    for place, dimension, counts, baselines in places:
        for count in counts:
            chosen = {name: call for name, (call, most) in baselines.items() if count <= most}
            yield from _measure(meter, place, count, dimension, chosen)
    for dimension, count in sizes.volumes:
        yield _measure_volume(meter, dimension, count)


def _measure(
    meter: Meter, place: str, count: int, dimension: int, baselines: dict[str, Baseline]
) -> Iterator[Row]:
    what, size = f"zonotope, {place}", f"{count:,} generators"
    zonotope = _drawn(count, dimension)
    generators = zonotope.generators
    yield counted(
        what, size, "vertices", len(zonotope.vertices()), "formula",
        2 * sum(comb(count - 1, i) for i in range(dimension)), Target("equal"),
    )  # fmt: skip
    routines: dict[str, Routine] = {"": zonotope.vertices}
    routines |= {name: partial(call, generators) for name, call in baselines.items()}
    times = meter.compare(routines)
    own = times.pop("")
    if target := TARGETS.get((place, count, "")):
        yield timed(what, size, own, target=target)
    for name, other in times.items():
        default = Target("ratio", 1) if name == FASTEST.get(place) else None
        yield timed(what, size, own, name, other, TARGETS.get((place, count, name), default))


def _measure_volume(meter: Meter, dimension: int, count: int) -> Row:
    zonotope, name = _drawn(count, dimension), "all determinants in one call"
    routines: dict[str, Routine] = {
        "": zonotope.volume,
        name: partial(all_determinants, zonotope.generators),
    }
    times = meter.compare(routines)
    what, size = "zonotope's volume", f"{count} generators in R^{dimension}"
    return timed(what, size, times[""], name, times[name], Target("ratio", 1))


def _drawn(count: int, dimension: int) -> Zonotope:
    return Zonotope(np.random.default_rng(count).normal(size=(count, dimension)))
