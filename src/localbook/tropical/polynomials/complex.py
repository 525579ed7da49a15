"""A whole tropical hypersurface, rays and all, as a weighted polyhedral complex."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.points import Span, affine_span
from localbook.tropical.polynomials.algebra import TropicalPolynomial
from localbook.tropical.polynomials.subdivision import Subdivision, dual_subdivision


@dataclass(frozen=True, eq=False)
class PolyhedralComplex:
    """A tropical hypersurface in up to three variables: who belongs to whom, and with what weight.

    A piece is the convex hull of its vertices, plus all non-negative multiples of its rays, plus
    the lineality space.

    Attributes
    ----------
    vertices : float array, shape (v, d)
        Row by row the ``points`` of the dual subdivision.
    edges : int array, shape (e, 2)
        The two vertices of each bounded edge.
    sources : int array, shape (r,)
        The vertex that each ray starts from.
    rays : float array, shape (r, d)
        Unit directions: normals of the Newton polytope, outward in the max convention.
    lineality : float array, shape (l, d)
        An orthonormal basis of the directions in which nothing changes; l > 0 if the exponents lie
        in a hyperplane.
    pieces : tuple of pairs of int arrays
        The vertices and the rays of each piece: in the plane an edge or a ray, in space a polygon.
    pairs : int array, shape (p, 2)
        The two monomials i and j that tie on each piece.
    normals : float array, shape (p, d)
        e_i - e_j, at right angles to the piece.
    """

    vertices: Floats
    edges: Indices
    sources: Indices
    rays: Floats
    lineality: Floats
    pieces: tuple[tuple[Indices, Indices], ...]
    pairs: Indices
    normals: Floats

    @property
    def weights(self) -> Floats:
        """The lattice length of each e_i - e_j if all are whole, else its length, shape (p,)."""
        whole = np.rint(self.normals)
        if np.array_equal(whole, self.normals):
            weights: Floats = np.gcd.reduce(whole.astype(np.int64), axis=1).astype(np.float64)
        else:
            weights = np.linalg.norm(self.normals, axis=1)
        return weights

    @property
    def genus(self) -> int:
        """The number of independent cycles of a planar curve; GeometryError in other dimensions."""
        count, dimension = self.vertices.shape
        if dimension != 2:
            raise GeometryError("the genus is that of a curve; give a polynomial in two variables.")
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        graph = coo_array((np.ones(len(self.edges)), self.edges.T), shape=(count, count))
        return int(len(self.edges) - count + connected_components(graph, directed=False)[0])

    def imbalance(self) -> float:
        """Return how far the complex is from balanced: zero but for rounding, as theory has it.

        At a vertex of a curve, or an edge or ray in space, the sum of |e_i - e_j|·u over the pieces
        there vanishes, u the unit direction from it into the piece [1]_. Returned is the greatest
        length of these sums, each divided by the sum of its |e_i - e_j|. Edges hardly longer than
        rounding have no direction to rely on, and may spoil it.

        References
        ----------
        .. [1] D. Maclagan, B. Sturmfels, "Introduction to Tropical Geometry", 2015, section 3.3.
        """
        rank = self.vertices.shape[1] - len(self.lineality)
        if rank == 2:
            nowhere = np.zeros(self.vertices.shape[1])
            sums = [self._sum_at([v], [], nowhere) for v in range(len(self.vertices))]
        elif rank == 3:
            runs = np.diff(self.vertices[self.edges], axis=1)[:, 0]
            sums = [self._sum_at(e, [], run) for e, run in zip(self.edges, runs, strict=True)]
            rays = enumerate(zip(self.sources, self.rays, strict=True))
            sums += [self._sum_at([source], [number], ray) for number, (source, ray) in rays]
        else:
            sums = []
        return max(sums, default=0.0)

    def _sum_at(self, corners: Iterable[int], rays: Iterable[int], along: Floats) -> float:
        """Return the length of the sum at a face with these vertices and rays."""
        total, sizes = np.zeros(len(along)), 0.0
        start = self.vertices[next(iter(corners))]
        along = along / (np.linalg.norm(along) or 1.0)
        for (of_vertices, of_rays), normal in zip(self.pieces, self.normals, strict=True):
            if set(corners) <= set(of_vertices) and set(rays) <= set(of_rays):
                inner = self.vertices[of_vertices].mean(axis=0) + self.rays[of_rays].sum(axis=0)
                into = inner - start
                into -= (into @ along) * along
                size = float(np.linalg.norm(normal))
                total += size * into / np.linalg.norm(into)
                sizes += size
        return float(np.linalg.norm(total)) / sizes


def polyhedral_complex(polynomial: TropicalPolynomial) -> PolyhedralComplex:
    """Return the tropical hypersurface of a polynomial as a complex, without cutting it to a box.

    Parameters
    ----------
    polynomial : TropicalPolynomial
        In one, two or three variables.

    Raises
    ------
    GeometryError
        If there are more variables.

    Examples
    --------
    >>> from localbook import tropical
    >>> x, y = tropical.variables(2)
    >>> curve = tropical.polyhedral_complex((x + y + 0) * (x + y + 2) * (x + y + 4) + 5 * x * y)
    >>> len(curve.edges), len(curve.rays), curve.genus
    (7, 7, 1)
    """
    if polynomial.dimension > 3:
        raise GeometryError(
            f"a complex is made in up to 3 variables, not {polynomial.dimension}; fix the others."
        )
    dual, span = dual_subdivision(polynomial), affine_span(polynomial.as_max.exponents)
    corner = np.zeros((len(dual.cells), len(polynomial)), dtype=np.intp)  # of which cells
    for row, cell in zip(corner, dual.cells, strict=True):
        row[cell] = 1
    rank = span.coordinates.shape[1]
    shared = np.triu(corner @ corner.T, 1)  # two cells have a facet in common, or a smaller face
    rays, on = _rays(span, dual, len(polynomial))
    first, second = dual.edges.T
    cells_of, rays_of = corner[:, first] & corner[:, second], on[:, first] & on[:, second]
    return PolyhedralComplex(
        vertices=dual.points,
        edges=np.argwhere((shared >= rank) & (rank > 1)),
        sources=np.array([cell for cell, _ in dual.rim], dtype=np.intp),
        rays=rays,
        lineality=np.linalg.svd(span.basis)[0][:, rank:].T,
        pieces=tuple(
            (np.flatnonzero(c), np.flatnonzero(r))
            for c, r in zip(cells_of.T, rays_of.T, strict=True)
        ),
        pairs=dual.edges,
        normals=polynomial.exponents[first] - polynomial.exponents[second],
    )


def _rays(span: Span, dual: Subdivision, count: int) -> tuple[Floats, Indices]:
    """Return the outward normals of the sides on the rim, and which monomials are their corners."""
    rays, on = np.zeros((len(dual.rim), len(span.basis))), np.zeros((len(dual.rim), count), np.intp)
    for number, (cell, side) in enumerate(dual.rim):
        corners = span.coordinates[side]
        normal = np.linalg.svd(corners - corners.mean(axis=0))[2][-1]
        inward = (span.coordinates[dual.cells[cell]] - corners.mean(axis=0)).sum(axis=0) @ normal
        rays[number] = span.basis @ (normal if inward < 0 else -normal)
        on[number, side] = 1
    return rays, on
