"""Geometry."""

from localbook.benchmarks.geometry import boundary, peers, regions, zonotope
from localbook.benchmarks.harness import Measure

BENCHMARKS: dict[str, Measure] = {
    "boundary": boundary.measure,
    "peers": peers.measure,
    "regions": regions.measure,
    "zonotope": zonotope.measure,
}
