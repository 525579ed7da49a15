"""Dual."""

from localbook.tropical.dual.branches import Form as Form
from localbook.tropical.dual.branches import LiftedZonotopes as LiftedZonotopes
from localbook.tropical.dual.branches import class_weights as class_weights
from localbook.tropical.dual.branches import common_factor as common_factor
from localbook.tropical.dual.branches import paper_branches as paper_branches
from localbook.tropical.dual.branches import quotient as quotient
from localbook.tropical.dual.branches import reduced_branches as reduced_branches
from localbook.tropical.dual.distance import DualDistance as DualDistance
from localbook.tropical.dual.distance import dual_distance as dual_distance
from localbook.tropical.dual.distance import dual_distance_at as dual_distance_at
from localbook.tropical.dual.polytope import DualPolytope as DualPolytope
from localbook.tropical.dual.polytope import decision_polynomial as decision_polynomial
from localbook.tropical.dual.polytope import dual_polytope as dual_polytope
from localbook.tropical.dual.rational import rational as rational
