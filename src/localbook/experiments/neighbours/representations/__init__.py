"""How networks represent data: shapes of representations, and units that two networks share."""

from localbook.experiments.neighbours.representations.convergent_learning import CONVERGENT_LEARNING
from localbook.experiments.neighbours.representations.representational_geometry import (
    CLUSTERS as REPRESENTATIONS_CLUSTERS,
)
from localbook.experiments.neighbours.representations.representational_geometry import (
    DIGITS as REPRESENTATIONS_DIGITS,
)
from localbook.experiments.neighbours.representations.representational_geometry import (
    PHOTOGRAPHS as REPRESENTATIONS_PHOTOGRAPHS,
)

__all__ = [
    "CONVERGENT_LEARNING",
    "REPRESENTATIONS_CLUSTERS",
    "REPRESENTATIONS_DIGITS",
    "REPRESENTATIONS_PHOTOGRAPHS",
]
