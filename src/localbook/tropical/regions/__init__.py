"""Regions."""

from localbook.tropical.regions.boundary import DecisionBoundary, decision_boundary
from localbook.tropical.regions.cells import (
    ROUNDING,
    Cells,
    Folds,
    Layer,
    add_active,
    layers_of,
    next_layer,
    value_at,
)
from localbook.tropical.regions.linear_regions import LinearRegions, linear_regions
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.ties_wide import ties_by_tiles
from localbook.tropical.regions.wide import Ranges, Tiles, tiles_with_ties

__all__ = [
    "ROUNDING",
    "Cells",
    "DecisionBoundary",
    "Folds",
    "Layer",
    "LinearRegions",
    "Ranges",
    "Ties",
    "Tiles",
    "add_active",
    "decision_boundary",
    "layers_of",
    "linear_regions",
    "next_layer",
    "ties_by_tiles",
    "ties_on_square",
    "tiles_with_ties",
    "value_at",
]
