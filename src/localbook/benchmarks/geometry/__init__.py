"""Geometry."""

from localbook.benchmarks.geometry.boundary import measure as measure_boundary
from localbook.benchmarks.geometry.peers import measure as measure_peers
from localbook.benchmarks.geometry.regions import measure as measure_regions
from localbook.benchmarks.geometry.zonotope import measure as measure_zonotope

__all__ = [
    "measure_boundary",
    "measure_peers",
    "measure_regions",
    "measure_zonotope",
]
