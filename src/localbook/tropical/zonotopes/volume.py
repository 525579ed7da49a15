"""The volume of a zonotope."""

import numpy as np

from localbook.arrays import Floats
from localbook.tropical.points import orthogonal_basis


def volume(vectors: Floats) -> float:
    """Return Σ |det(g_i : i ∈ S)| over the r-subsets S of vectors, shape (p, r), r ≥ 1.

    This is the volume of Σ [0, 1]·g_i [1]_. A determinant is the length of one of its vectors times
    that of the projections of the others along it, so each vector in turn leaves a sum in R^{r-1};
    in the plane the sum is a prefix sum over the vectors sorted by angle.

    References
    ----------
    .. [1] G. C. Shephard, "Combinatorial properties of associated zonotopes", 1974, equation (57).
    """
    rank = vectors.shape[1]
    if rank == 1:
        return float(np.abs(vectors).sum())
    if rank == 2:
        return _area(vectors)
    total = 0.0
    for i, length in enumerate(np.linalg.norm(vectors, axis=1)):
        if length > 0:
            # Each subset is summed once only: with its first vector.
            total += length * volume(vectors[i + 1 :] @ orthogonal_basis(vectors[i] / length))
    return float(total)


def _area(vectors: Floats) -> float:
    """Return Σ_{i<j} |g_i x g_j| in the plane."""
    upper = np.where(
        (vectors[:, 1:] < 0) | ((vectors[:, 1:] == 0) & (vectors[:, :1] < 0)), -vectors, vectors
    )
    upper = upper[np.argsort(np.arctan2(upper[:, 1], upper[:, 0]))]
    before = np.cumsum(upper, axis=0) - upper
    return float((before[:, 0] * upper[:, 1] - before[:, 1] * upper[:, 0]).sum())
