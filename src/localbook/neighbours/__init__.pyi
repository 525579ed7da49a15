from . import (
    af_kan,
    convex_training,
    dynamical_stability,
    finalmlp,
    li2,
    quadratic,
    representational_geometry,
    xor_grokking,
)

__all__ = [
    "af_kan",
    "convex_training",
    "dynamical_stability",
    "finalmlp",
    "li2",
    "quadratic",
    "representational_geometry",
    "xor_grokking",
]
