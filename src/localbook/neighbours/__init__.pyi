from . import (
    convex_training,
    dynamical_stability,
    finalmlp,
    li2,
    quadratic,
    representational_geometry,
    two_stream,
    xor_grokking,
)

__all__ = [
    "convex_training",
    "dynamical_stability",
    "finalmlp",
    "li2",
    "quadratic",
    "representational_geometry",
    "two_stream",
    "xor_grokking",
]
