"""Zonotopes."""

from localbook.tropical.zonotopes.exact import exact_vertices
from localbook.tropical.zonotopes.hausdorff import farthest, hausdorff, paired_bound
from localbook.tropical.zonotopes.hull import ZonotopeHull, hull_of_zonotopes
from localbook.tropical.zonotopes.labels import keys, random_marks
from localbook.tropical.zonotopes.patterns import (
    activation_patterns,
    most_patterns,
    sampled_patterns,
)
from localbook.tropical.zonotopes.representations import halfspaces, reduce_order
from localbook.tropical.zonotopes.space import cross
from localbook.tropical.zonotopes.zonotope import Zonotope

__all__ = [
    "Zonotope",
    "ZonotopeHull",
    "activation_patterns",
    "cross",
    "exact_vertices",
    "farthest",
    "halfspaces",
    "hausdorff",
    "hull_of_zonotopes",
    "keys",
    "most_patterns",
    "paired_bound",
    "random_marks",
    "reduce_order",
    "sampled_patterns",
]
