"""How networks represent data: shapes of representations, and units that two networks share."""

from localbook.experiments.neighbours.representations import (
    convergent_learning,
    representational_geometry,
)

EXPERIMENTS = {
    "convergent-learning": convergent_learning.CONVERGENT_LEARNING,
    "representational-geometry": representational_geometry.CLUSTERS,
    "representational-geometry-digits": representational_geometry.DIGITS,
    "representational-geometry-photographs": representational_geometry.PHOTOGRAPHS,
}
