from . import (
    convex_training,
    dynamical_stability,
    finalmlp,
    li2,
    multigrid_operator,
    quadratic,
    representational_geometry,
    xor_grokking,
)

__all__ = [
    "convex_training",
    "dynamical_stability",
    "finalmlp",
    "li2",
    "multigrid_operator",
    "quadratic",
    "representational_geometry",
    "xor_grokking",
]
