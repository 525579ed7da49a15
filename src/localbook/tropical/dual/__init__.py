"""Dual."""

from localbook.tropical.dual.branches import (
    Form,
    LiftedZonotopes,
    class_weights,
    common_factor,
    paper_branches,
    quotient,
    reduced_branches,
)
from localbook.tropical.dual.distance import DualDistance, dual_distance, dual_distance_at
from localbook.tropical.dual.polytope import DualPolytope, decision_polynomial, dual_polytope
from localbook.tropical.dual.rational import rational

__all__ = [
    "DualDistance",
    "DualPolytope",
    "Form",
    "LiftedZonotopes",
    "class_weights",
    "common_factor",
    "decision_polynomial",
    "dual_distance",
    "dual_distance_at",
    "dual_polytope",
    "paper_branches",
    "quotient",
    "rational",
    "reduced_branches",
]
