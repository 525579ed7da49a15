"""The Hausdorff distance of two zonotopes, the largest difference of their support functions."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from localbook.arrays import Floats
from localbook.errors import GeometryError
from localbook.tropical.zonotopes.nearest import nearest_points
from localbook.tropical.zonotopes.planar import planar
from localbook.tropical.zonotopes.zonotope import Zonotope, scale_of

_CLIMBERS = 32  # vertices of each zonotope to climb from
_STEPS = 4
_MATCHED = 1000  # generators up to which partners are matched: an assignment takes a second


def hausdorff(first: Zonotope, second: Zonotope) -> tuple[float, float]:
    """Return a lower and an upper bound on the Hausdorff distance of two zonotopes.

    It is max |h_1(u) - h_2(u)| over unit vectors u, with h the support functions [1]_. In the plane
    the bounds are equal: between two neighbouring edge normals of either zonotope, h_1 - h_2 is
    w·u for a fixed w, largest at w if that lies between them and else at one of them. In other
    dimensions the lower bound is the largest distance of a vertex found by climbing from many
    starts; the upper bound pairs the generators, the shorter list padded with zeros: up to 1,000 of
    them so that the partners' differences have the least total length, more in the order given.

    Parameters
    ----------
    first, second : Zonotope
        In the same R^d.

    Returns
    -------
    lower, upper : float

    Raises
    ------
    GeometryError
        If the dimensions differ.

    References
    ----------
    .. [1] R. Schneider, "Convex Bodies: The Brunn-Minkowski Theory", lemma 1.8.14.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> square = tropical.Zonotope(np.eye(2), np.zeros(2))
    >>> lower, upper = tropical.hausdorff(square, tropical.Zonotope(2 * np.eye(2), np.zeros(2)))
    >>> round(lower, 6) == round(upper, 6) == round(2**0.5, 6)
    True
    """
    if first.dimension != second.dimension:
        raise GeometryError(
            f"zonotopes in R^{first.dimension} and R^{second.dimension} have no distance; "
            "bring them to one dimension with affine_image()."
        )
    scale = scale_of(first.generators, first.shift, second.generators, second.shift)
    if scale != 1:
        lower, upper = hausdorff(first.divided(scale), second.divided(scale))
        return scale * lower, scale * upper
    if first.dimension == 2:
        exact = _planar_distance(first, second)
        return exact, exact
    upper = paired_bound(first, second)
    return min(_ascent_bound(first, second), upper), upper


def _planar_distance(first: Zonotope, second: Zonotope) -> float:
    """Return the distance in the plane, over the arcs between all edge normals."""
    one, two = first.merged(), second.merged()
    vectors = np.vstack([one.generators, two.generators])
    shift = one.shift - two.shift
    if not len(vectors):
        return float(np.linalg.norm(shift))
    angles, sums = planar(vectors, np.vstack([one.generators, -two.generators]))
    difference = sums + shift  # (2m, 2): h_1 - h_2 = difference[k]·u on arc k
    walls = np.concatenate([angles, angles + np.pi]) - np.pi / 2
    start = np.roll(walls, 1)
    start[0] -= 2 * np.pi
    at_start = np.abs(np.einsum("kd,dk->k", difference, [np.cos(start), np.sin(start)]))
    best = at_start.max()
    length = np.hypot(difference[:, 0], difference[:, 1])
    for sign in (1, -1):
        peak = np.arctan2(sign * difference[:, 1], sign * difference[:, 0])
        inside = (peak - start) % (2 * np.pi) <= walls - start
        best = max(best, length[inside].max(initial=0))
    return float(best)


def paired_bound(first: Zonotope, second: Zonotope) -> float:
    """Bound the Hausdorff distance from above by moving each generator to its partner.

    With centres c, 2(h_1 - h_2)(u) = 2(c_1 - c_2)·u + Σ(|g_i·u| - |g'_i·u|), and the sum is at most
    √p·σ_max(Δ) and at most Σ|Δ_i| for Δ_i = g_i - g'_i, each partner turned to the nearer side.
    The better of the given order and of the best matching counts.
    """
    count = max(len(first.generators), len(second.generators))
    one, two = (
        np.pad(z.generators, ((0, count - len(z.generators)), (0, 0))) for z in (first, second)
    )
    apart = float(np.linalg.norm(first.centre - second.centre))
    if not count:
        return apart
    orders = [np.arange(count)] + ([_partners(one, two)] if count <= _MATCHED else [])
    return apart + min(_moved(one, two[order]) for order in orders) / 2


def _partners(one: Floats, two: Floats) -> NDArray[np.intp]:
    """Return for each generator its partner, so that all differences have the least length."""
    squares = [np.square(rows).sum(axis=1) for rows in (one, two)]
    apart = squares[0][:, None] + squares[1] - 2 * np.abs(one @ two.T)
    _, order = linear_sum_assignment(np.sqrt(np.maximum(apart, 0)))
    return np.asarray(order)


def _moved(one: Floats, two: Floats) -> float:
    """Bound the sum of | |g·u| - |g'·u| | over partners, for every unit vector u."""
    two = np.where((one * two).sum(axis=1, keepdims=True) < 0, -two, two)
    change = one - two
    lengths = float(np.linalg.norm(change, axis=1).sum())
    return min(lengths, float(np.sqrt(len(change)) * np.linalg.norm(change, 2)))


def _ascent_bound(first: Zonotope, second: Zonotope) -> float:
    """Bound the distance from below by the distances of vertices, climbing from many directions.

    The step from a vertex to the one farthest along the way from the other set never comes nearer.
    """
    random = np.random.default_rng(0).normal(size=(64, first.dimension))
    half = np.vstack([first.generators, second.generators, random])
    directions = np.vstack([half, -half])
    directions = directions[np.any(directions != 0, axis=1)]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ahead = first.support(directions) - second.support(directions)
    best = 0.0
    for one, two, gain in ((first, second, ahead), (second, first, -ahead)):
        along = directions[np.argsort(-gain)[:_CLIMBERS]]
        for _ in range(_STEPS):
            points = np.unique(farthest(one, along), axis=0)
            along = points - nearest_points(points, two.generators, two.shift)
            best = max(best, float(np.linalg.norm(along, axis=1).max()))
    return best


def farthest(zonotope: Zonotope, directions: Floats) -> Floats:
    """Return a point of the zonotope that is farthest in each direction, shape (n, d)."""
    return zonotope.shift + (directions @ zonotope.generators.T > 0) @ zonotope.generators
