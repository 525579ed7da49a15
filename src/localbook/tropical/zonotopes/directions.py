"""What is at right angles to a vector."""

import numpy as np

from localbook.arrays import Floats


def orthogonal_basis(unit: Floats) -> Floats:
    """Return an orthonormal basis, shape (r, r - 1), of the complement of a unit vector."""
    pivot = int(np.argmax(np.abs(unit)))
    # Householder: the reflection that takes ±e_pivot to the vector takes the other e_k to a basis.
    normal = unit.copy()
    normal[pivot] += np.copysign(1.0, unit[pivot])
    reflection = np.eye(len(unit)) - np.outer(normal, normal) * (2 / (normal @ normal))
    return np.delete(reflection, pivot, axis=1)
