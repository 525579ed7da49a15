"""Linear regions and decision boundaries of networks of two inputs."""

from localbook.tropical.regions.boundary import DecisionBoundary, decision_boundary
from localbook.tropical.regions.cells import layers_of
from localbook.tropical.regions.linear_regions import LinearRegions, linear_regions
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.wide import ties_by_tiles

__all__ = [
    "DecisionBoundary",
    "LinearRegions",
    "Ties",
    "decision_boundary",
    "layers_of",
    "linear_regions",
    "ties_by_tiles",
    "ties_on_square",
]
