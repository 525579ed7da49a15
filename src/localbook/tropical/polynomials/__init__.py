"""Polynomials."""

from localbook.tropical.polynomials.algebra import TropicalPolynomial, TropicalRational, variables
from localbook.tropical.polynomials.complex import PolyhedralComplex, polyhedral_complex
from localbook.tropical.polynomials.hypersurface import Hypersurface, hypersurface
from localbook.tropical.polynomials.pieces import RationalPieces, checked_product, rational_pieces
from localbook.tropical.polynomials.subdivision import Subdivision, dual_subdivision, essential

__all__ = [
    "Hypersurface",
    "PolyhedralComplex",
    "RationalPieces",
    "Subdivision",
    "TropicalPolynomial",
    "TropicalRational",
    "checked_product",
    "dual_subdivision",
    "essential",
    "hypersurface",
    "polyhedral_complex",
    "rational_pieces",
    "variables",
]
