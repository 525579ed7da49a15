from . import (
    circuit_diagrams,
    convex_training,
    dynamical_stability,
    finalmlp,
    hypernetworks,
    li2,
    quadratic,
    representational_geometry,
    xor_grokking,
)

__all__ = [
    "circuit_diagrams",
    "convex_training",
    "dynamical_stability",
    "finalmlp",
    "hypernetworks",
    "li2",
    "quadratic",
    "representational_geometry",
    "xor_grokking",
]
