"""The convex hull of zonotopes: the dual polytope of a network, one zonotope for each class."""

from dataclasses import dataclass

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.hull import extreme_points, faces
from localbook.tropical.points import affine_span, orthogonal_basis, same_points
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.zonotope import Zonotope, scale_of

MOST = 62
"""Zonotopes that the bits of an integer can tell apart."""


@dataclass(frozen=True, eq=False)
class ZonotopeHull:
    """The convex hull of two or more zonotopes.

    Attributes
    ----------
    vertices : float array, shape (v, d)
        Each once; counter-clockwise in the plane.
    source : int array, shape (v,)
        Bit i is set for a vertex of the i-th zonotope. Of two zonotopes: 1 for a vertex of the
        first, 2 for one of the second, 3 for one of both.
    """

    vertices: Floats
    source: Indices

    def bridges(self) -> Floats:
        """Return the edges of a planar hull that lead from one zonotope to another.

        Returns
        -------
        float array, shape (m, 2, 2)
            Counter-clockwise: the outward normal of a bridge (a, b) is b - a turned by -90°.

        Raises
        ------
        GeometryError
            If the hull is not in the plane.
        """
        if self.vertices.shape[1] != 2:
            raise GeometryError("bridges() are edges of a planar hull; project to R^2 first.")
        after = np.roll(np.arange(len(self.vertices)), -1)
        bridging = (self.source & self.source[after]) == 0
        return np.stack([self.vertices[bridging], self.vertices[after[bridging]]], axis=1)

    def faces(self, *, upper: bool = False) -> list[Indices]:
        """Return the corners of each face of a hull in R^3, as rows of ``vertices``.

        Parameters
        ----------
        upper : bool
            Only those of the upper hull, whose outward normals point up along the last axis: of
            lifted zonotopes they are dual to the vertices of the hypersurface.

        Returns
        -------
        list of int arrays, shape (k,) each
            Counter-clockwise seen from outside.

        Raises
        ------
        GeometryError
            If the hull is not in R^3, or flat.
        """
        span = affine_span(self.vertices)
        if (self.vertices.shape[1], span.coordinates.shape[1]) != (3, 3):
            raise GeometryError(
                "faces() are those of a solid in R^3; this hull has dimension "
                f"{span.coordinates.shape[1]} in R^{self.vertices.shape[1]}."
            )
        found = []
        for face in faces(span.coordinates, span.noise):
            if face.normal[-1] > TOLERANCE.contact or not upper:
                across = orthogonal_basis(face.normal)
                across[:, 0] *= np.sign(np.linalg.det(np.column_stack([across, face.normal])))
                x, y = (span.coordinates[face.corners] @ across).T
                turn = np.arctan2(y - y.mean(), x - x.mean())
                found.append(face.corners[np.argsort(turn)])
        return found


def hull_of_zonotopes(first: Zonotope, *others: Zonotope) -> ZonotopeHull:
    """Return the convex hull of the union of zonotopes, from their vertices alone.

    Parameters
    ----------
    first, *others : Zonotope
        In the same R^d.

    Raises
    ------
    GeometryError
        If the dimensions differ, or there are more zonotopes than an integer has bits.
    """
    zonotopes = (first, *others)
    for other in others:
        if first.dimension != other.dimension:
            raise GeometryError(
                f"zonotopes in R^{first.dimension} and R^{other.dimension} have no common hull; "
                "bring them to one dimension with affine_image()."
            )
    if len(zonotopes) > MOST:
        raise GeometryError(
            f"the hull tells {MOST} zonotopes apart, not {len(zonotopes)}; compare fewer."
        )
    vertices = [zonotope.vertices() for zonotope in zonotopes]
    points = np.vstack(vertices)
    source = np.repeat(1 << np.arange(len(vertices)), [len(v) for v in vertices])
    scaled = points / scale_of(points)
    same = same_points(scaled, TOLERANCE.contact * affine_span(scaled).size)
    marks = np.zeros(len(points), dtype=np.intp)
    np.bitwise_or.at(marks, same, source)
    kept = np.unique(same)
    kept = kept[extreme_points(scaled[kept])]
    return ZonotopeHull(points[kept], marks[kept])
