"""Tropical geometry of ReLU networks: polynomials, zonotopes, exact boundaries and regions."""

from localbook.tropical.algebra import TropicalPolynomial, TropicalRational, variables
from localbook.tropical.algebra_hypersurface import Hypersurface, hypersurface
from localbook.tropical.algebra_subdivision import Subdivision, dual_subdivision, essential
from localbook.tropical.boundary import DecisionBoundary, decision_boundary
from localbook.tropical.conversion import from_torch
from localbook.tropical.dual import DualPolytope, decision_polynomial, dual_polytope
from localbook.tropical.dual_distance import DualDistance, dual_distance
from localbook.tropical.hull_zonotopes import ZonotopeHull, hull_of_zonotopes
from localbook.tropical.lifted import (
    LiftedZonotopes,
    common_factor,
    paper_branches,
    quotient,
    reduced_branches,
)
from localbook.tropical.network import ReLUNetwork
from localbook.tropical.plane import Plane, plane_through
from localbook.tropical.pruning import (
    Generators,
    PrunedNetwork,
    class_weights,
    fit_rows,
    fit_weights,
    generators,
    penalty_keeping,
    prune_block,
    pruning_objective,
)
from localbook.tropical.pruning_costs import neuron_costs, weight_costs
from localbook.tropical.pruning_masks import (
    class_blind,
    class_distribution,
    class_uniform,
    keep_neurons,
    keep_weights,
    snip,
    without_neurons,
)
from localbook.tropical.regions import LinearRegions, linear_regions
from localbook.tropical.tickets import (
    Pruning,
    Round,
    initial_network,
    iterative_pruning,
    magnitude_masks,
    masked,
)
from localbook.tropical.tolerance import TOLERANCE, Tolerance
from localbook.tropical.zonotope import Zonotope
from localbook.tropical.zonotope_exact import exact_vertices
from localbook.tropical.zonotope_hausdorff import hausdorff

__all__ = [
    "TOLERANCE",
    "DecisionBoundary",
    "DualDistance",
    "DualPolytope",
    "Generators",
    "Hypersurface",
    "LiftedZonotopes",
    "LinearRegions",
    "Plane",
    "PrunedNetwork",
    "Pruning",
    "ReLUNetwork",
    "Round",
    "Subdivision",
    "Tolerance",
    "TropicalPolynomial",
    "TropicalRational",
    "Zonotope",
    "ZonotopeHull",
    "class_blind",
    "class_distribution",
    "class_uniform",
    "class_weights",
    "common_factor",
    "decision_boundary",
    "decision_polynomial",
    "dual_distance",
    "dual_polytope",
    "dual_subdivision",
    "essential",
    "exact_vertices",
    "fit_rows",
    "fit_weights",
    "from_torch",
    "generators",
    "hausdorff",
    "hull_of_zonotopes",
    "hypersurface",
    "initial_network",
    "iterative_pruning",
    "keep_neurons",
    "keep_weights",
    "linear_regions",
    "magnitude_masks",
    "masked",
    "neuron_costs",
    "paper_branches",
    "penalty_keeping",
    "plane_through",
    "prune_block",
    "pruning_objective",
    "quotient",
    "reduced_branches",
    "snip",
    "variables",
    "weight_costs",
    "without_neurons",
]
