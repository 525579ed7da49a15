"""Tropical geometry of ReLU networks: polynomials, zonotopes, exact boundaries and regions."""

from localbook.tropical.dual.branches import (
    LiftedZonotopes,
    common_factor,
    paper_branches,
    quotient,
    reduced_branches,
)
from localbook.tropical.dual.distance import DualDistance, dual_distance
from localbook.tropical.dual.polytope import DualPolytope, decision_polynomial, dual_polytope
from localbook.tropical.networks.from_torch import from_torch
from localbook.tropical.networks.network import ReLUNetwork
from localbook.tropical.networks.plane import Plane, plane_through
from localbook.tropical.polynomials.algebra import TropicalPolynomial, TropicalRational, variables
from localbook.tropical.polynomials.hypersurface import Hypersurface, hypersurface
from localbook.tropical.polynomials.subdivision import Subdivision, dual_subdivision, essential
from localbook.tropical.pruning.costs import neuron_costs, weight_costs
from localbook.tropical.pruning.masks import (
    class_blind,
    class_distribution,
    class_uniform,
    keep_neurons,
    keep_weights,
    snip,
    without_neurons,
)
from localbook.tropical.pruning.objective import (
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
from localbook.tropical.regions.boundary import DecisionBoundary, decision_boundary
from localbook.tropical.regions.linear_regions import LinearRegions, linear_regions
from localbook.tropical.tickets.iterative import (
    Pruning,
    Round,
    initial_network,
    iterative_pruning,
    magnitude_masks,
    masked,
)
from localbook.tropical.tolerance import TOLERANCE, Tolerance
from localbook.tropical.zonotopes.exact import exact_vertices
from localbook.tropical.zonotopes.hausdorff import hausdorff
from localbook.tropical.zonotopes.hull import ZonotopeHull, hull_of_zonotopes
from localbook.tropical.zonotopes.zonotope import Zonotope

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
