"""Polynomials."""

from localbook.tropical.polynomials.algebra import TropicalPolynomial, TropicalRational, variables
from localbook.tropical.polynomials.hypersurface import Hypersurface, hypersurface
from localbook.tropical.polynomials.subdivision import Subdivision, dual_subdivision, essential

__all__ = [
    "Hypersurface",
    "Subdivision",
    "TropicalPolynomial",
    "TropicalRational",
    "dual_subdivision",
    "essential",
    "hypersurface",
    "variables",
]
