"""Linear regions and decision boundaries."""

from localbook.tropical.regions.boundary import DecisionBoundary, decision_boundary
from localbook.tropical.regions.bounds import Bounds, Tiles
from localbook.tropical.regions.cells import layers_of
from localbook.tropical.regions.counts import RegionEstimate, count_regions, estimate_regions
from localbook.tropical.regions.linear_regions import LinearRegions, linear_regions
from localbook.tropical.regions.lines import regions_by_lines, ties_by_lines
from localbook.tropical.regions.nearest import NearestTie, nearest_boundary
from localbook.tropical.regions.pieces import DecisionPieces, decision_pieces
from localbook.tropical.regions.small import SmallNetwork
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.walk import ties_by_walking
from localbook.tropical.regions.wide import ties_by_tiles

__all__ = [
    "Bounds",
    "DecisionBoundary",
    "DecisionPieces",
    "LinearRegions",
    "NearestTie",
    "RegionEstimate",
    "SmallNetwork",
    "Ties",
    "Tiles",
    "count_regions",
    "decision_boundary",
    "decision_pieces",
    "estimate_regions",
    "layers_of",
    "linear_regions",
    "nearest_boundary",
    "regions_by_lines",
    "ties_by_lines",
    "ties_by_tiles",
    "ties_by_walking",
    "ties_on_square",
]
