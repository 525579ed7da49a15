"""Geometry."""

from localbook.benchmarks.geometry.boundary import measure as boundary
from localbook.benchmarks.geometry.regions import measure as regions
from localbook.benchmarks.geometry.zonotope import measure as zonotope

__all__ = [
    "boundary",
    "regions",
    "zonotope",
]
