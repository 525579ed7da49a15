"""Tropical geometry: polynomials, zonotopes and their hulls."""

from localbook.tropical.algebra import TropicalPolynomial, TropicalRational
from localbook.tropical.algebra_hypersurface import Hypersurface, hypersurface
from localbook.tropical.algebra_subdivision import Subdivision, dual_subdivision, essential
from localbook.tropical.hull_zonotopes import ZonotopeHull, hull_of_zonotopes
from localbook.tropical.tolerance import TOLERANCE, Tolerance
from localbook.tropical.zonotope import Zonotope
from localbook.tropical.zonotope_exact import exact_vertices
from localbook.tropical.zonotope_hausdorff import hausdorff

__all__ = [
    "TOLERANCE",
    "Hypersurface",
    "Subdivision",
    "Tolerance",
    "TropicalPolynomial",
    "TropicalRational",
    "Zonotope",
    "ZonotopeHull",
    "dual_subdivision",
    "essential",
    "exact_vertices",
    "hausdorff",
    "hull_of_zonotopes",
    "hypersurface",
]
