from . import (
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
    "convex_training",
    "dynamical_stability",
    "finalmlp",
    "hypernetworks",
    "li2",
    "quadratic",
    "representational_geometry",
    "xor_grokking",
]
