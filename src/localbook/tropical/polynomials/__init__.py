"""Polynomials."""

from localbook.tropical.polynomials.algebra import TropicalPolynomial as TropicalPolynomial
from localbook.tropical.polynomials.algebra import TropicalRational as TropicalRational
from localbook.tropical.polynomials.algebra import variables as variables
from localbook.tropical.polynomials.complex import PolyhedralComplex as PolyhedralComplex
from localbook.tropical.polynomials.complex import polyhedral_complex as polyhedral_complex
from localbook.tropical.polynomials.hypersurface import Hypersurface as Hypersurface
from localbook.tropical.polynomials.hypersurface import hypersurface as hypersurface
from localbook.tropical.polynomials.pieces import RationalPieces as RationalPieces
from localbook.tropical.polynomials.pieces import checked_product as checked_product
from localbook.tropical.polynomials.pieces import rational_pieces as rational_pieces
from localbook.tropical.polynomials.subdivision import Subdivision as Subdivision
from localbook.tropical.polynomials.subdivision import dual_subdivision as dual_subdivision
from localbook.tropical.polynomials.subdivision import essential as essential
