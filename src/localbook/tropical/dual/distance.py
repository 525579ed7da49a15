r"""How far apart the dual polytopes of two networks are.

The scores of a network fix its zonotopes :math:`Z_i` only up to a translation common to all
classes, which adds the same function to every branch of the decision polynomial, and the boundary
fixes them only up to a common positive factor as well. So the polytopes are moved, and on request
scaled, onto one another before the Hausdorff distance of each class's zonotopes is taken. The
distance between the convex hulls is at most the largest of these; but it does not see which class
is which. "On the Decision Boundaries of Neural Networks: A Tropical Geometry Perspective" (arXiv
2002.08838) compares the polytopes of a network and of its lottery tickets; its text was not
available, and this definition is our reconstruction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats
from localbook.errors import GeometryError
from localbook.tropical.dual.polytope import DualPolytope
from localbook.tropical.zonotopes import Zonotope, farthest, hausdorff, paired_bound

CLIMBED = 3
"""Dimensions up to which vertices are climbed; beyond, that takes seconds for one zonotope."""

_CLIMBERS = 8
_STEPS = 4


@dataclass(frozen=True)
class DualDistance:
    r"""Hausdorff distances, class by class, after the second polytope was moved onto the first.

    Attributes
    ----------
    lower, upper : float array, shape (k,)
        Bounds on the distance for each class; equal in the plane, where it is exact.
    size : float
        Half the total length of the generators of the first polytope, mean over the classes: no
        zonotope of that length reaches further from its centre.
    scale : float
        What the second polytope was multiplied by.
    """

    lower: Floats
    upper: Floats
    size: float
    scale: float

    @property
    def relative(self) -> tuple[float, float]:
        """Bounds on the largest distance of any class, as a share of the size."""
        return float(self.lower.max()) / self.size, float(self.upper.max()) / self.size


def dual_distance(
    first: DualPolytope, second: DualPolytope, *, up_to_scale: bool = False
) -> DualDistance:
    r"""Return the distance of two dual polytopes, class by class.

    The second is translated so that the means of the centres of the zonotopes agree. Where
    :math:`\varepsilon_i` is the distance for class i and the scores satisfy
    :math:`f_i(x) - f_k(x) > (\varepsilon_i + \varepsilon_k)\,|(x, 1)|` for all other classes k
    (:math:`|x|` for polytopes that are not lifted), both networks decide for i.

    In one to three dimensions the bounds are those of :func:`hausdorff`. Beyond, the upper bound is
    still its pairing of the generators, which finds the same neurons in another order, and the
    lower bound the largest difference of the support functions that is met from the directions
    of the first polytope's generators on.

    Parameters
    ----------
    first, second : DualPolytope
        Of networks with the same inputs and classes; if one of them is lifted, both are.
    up_to_scale : bool
        Also scale the second polytope to the size of the first: shapes are compared. A point
        stays a point.

    Raises
    ------
    GeometryError
        If inputs or classes differ in number, or the first polytope is a point.
    """
    ones, others = _lifted_alike(first, second)
    size, other_size = _positive_size(ones), _size(others)
    scale = size / other_size if up_to_scale and other_size > 0 else 1.0
    pairs = zip(_centred(ones, 1.0), _centred(others, scale), strict=True)
    bounds = np.array([_bounds(one, other) for one, other in pairs])
    return DualDistance(bounds[:, 0], bounds[:, 1], size, scale)


def dual_distance_at(first: DualPolytope, second: DualPolytope, points: ArrayLike) -> float:
    r"""Return the largest difference of branches at some points, by the measure of the distance.

    :math:`\max_{i, x} |F_i(x) - \tilde F_i(x)| / |(x, 1)|`, or over :math:`|x|` for polytopes
    that are not lifted, as a share of the size: :attr:`DualDistance.relative` with the points in
    place of all directions, and so at most its upper bound.

    Parameters
    ----------
    first, second : DualPolytope
        See :func:`dual_distance`.
    points : array_like, shape (N, n)
        Inputs of the networks, such as test images.

    Raises
    ------
    GeometryError
        As :func:`dual_distance`, and if the points have another dimension than the inputs or none
        has a direction.
    """
    ones, others = _lifted_alike(first, second)
    size = _positive_size(ones)
    rows = np.asarray(points, dtype=float)
    lifted = int(first.lifted or second.lifted)
    if rows.ndim != 2 or rows.shape[1] + lifted != ones[0].dimension:
        raise GeometryError(
            f"points of shape {rows.shape} for networks of {ones[0].dimension - lifted} inputs: "
            "give one row for each point."
        )
    rows = np.pad(rows, ((0, 0), (0, lifted)), constant_values=1)
    lengths = np.linalg.norm(rows, axis=1)
    if not (lengths > 0).any():
        raise GeometryError("no point has a direction: give one that is not the origin.")
    along = rows[lengths > 0] / lengths[lengths > 0, None]
    pairs = zip(_centred(ones, 1.0), _centred(others, 1.0), strict=True)
    return max(float(np.abs(a.support(along) - b.support(along)).max()) for a, b in pairs) / size


def _lifted_alike(
    first: DualPolytope, second: DualPolytope
) -> tuple[tuple[Zonotope, ...], tuple[Zonotope, ...]]:
    """Return the zonotopes of both in one space."""
    lift = first.lifted or second.lifted
    ones, others = (
        tuple(map(_lift, p.zonotopes)) if lift and not p.lifted else p.zonotopes
        for p in (first, second)
    )
    if len(ones) != len(others) or ones[0].dimension != others[0].dimension:
        raise GeometryError(
            f"dual polytopes of {len(ones)} classes in R^{ones[0].dimension} and of {len(others)} "
            f"in R^{others[0].dimension} are not comparable: give networks with the same inputs "
            "and compare the same classes."
        )
    return ones, others


def _lift(zonotope: Zonotope) -> Zonotope:
    """Add a last coordinate, zero throughout."""
    return Zonotope(np.pad(zonotope.generators, ((0, 0), (0, 1))), np.append(zonotope.shift, 0.0))


def _size(zonotopes: tuple[Zonotope, ...]) -> float:
    lengths = [np.linalg.norm(z.generators, axis=1).sum() for z in zonotopes]
    return float(np.mean(lengths)) / 2


def _positive_size(zonotopes: tuple[Zonotope, ...]) -> float:
    size = _size(zonotopes)
    if size == 0:
        raise GeometryError(
            "the first dual polytope is a point, as of a constant network: there is no size to "
            "measure by."
        )
    return size


def _centred(zonotopes: tuple[Zonotope, ...], scale: float) -> list[Zonotope]:
    """Scale all, and move all by one vector that brings the mean of the centres to the origin."""
    middle = np.mean([z.centre for z in zonotopes], axis=0)
    return [Zonotope(scale * z.generators, scale * (z.shift - middle)) for z in zonotopes]


def _bounds(first: Zonotope, second: Zonotope) -> tuple[float, float]:
    if first.dimension <= CLIMBED:
        return hausdorff(first, second)
    upper = paired_bound(first, second)
    return min(_support_bound(first, second), upper), upper


def _support_bound(first: Zonotope, second: Zonotope) -> float:
    """Bound the distance from below by |h_1(u) - h_2(u)| for unit vectors u.

    From the best directions on, u follows the gradient of the difference, a difference of points
    of the two zonotopes.
    """
    directions = np.vstack([first.generators, -first.generators])
    directions = directions[directions.any(axis=1)]
    best = 0.0
    for one, two in ((first, second), (second, first)):
        along = directions
        for step in range(_STEPS + 1):
            along = along / np.linalg.norm(along, axis=1, keepdims=True)
            gain = one.support(along) - two.support(along)
            best = max(best, float(gain.max(initial=0)))
            if step == 0:
                along = along[np.argsort(-gain)[:_CLIMBERS]]
            ahead = farthest(one, along) - farthest(two, along)
            along = ahead[ahead.any(axis=1)]
            if not len(along):
                break
    return best
