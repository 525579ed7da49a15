from . import (
    af_kan,
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
    "af_kan",
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
