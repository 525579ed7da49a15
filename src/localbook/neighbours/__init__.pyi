from . import (
    circuit_diagrams,
    convex_training,
    dynamical_stability,
    finalmlp,
    hypernetworks,
    li2,
    multigrid_operator,
    quadratic,
    representational_geometry,
    two_stream,
    xor_grokking,
)

__all__ = [
    "circuit_diagrams",
    "convex_training",
    "dynamical_stability",
    "finalmlp",
    "hypernetworks",
    "li2",
    "multigrid_operator",
    "quadratic",
    "representational_geometry",
    "two_stream",
    "xor_grokking",
]
