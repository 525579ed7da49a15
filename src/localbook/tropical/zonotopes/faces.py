"""The faces of a zonotope in R^3, from the crossings of its generators' lines."""

from collections.abc import Iterator

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import GeometryError
from localbook.tropical.points import orthogonal_basis
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.labels import keys, random_marks
from localbook.tropical.zonotopes.planar import planar
from localbook.tropical.zonotopes.space import Crossings, Lines, crossings, lines, solid


def face_corners(vectors: Floats) -> list[Indices]:
    """Return the corners (2k,) of each face, as rows of what ``solid`` returns for the same.

    Counter-clockwise seen from outside; k generators lie in the face's plane.
    """
    marks = random_marks(len(vectors))
    total = marks.sum(axis=0)
    vertex_keys = keys(solid(vectors, marks))
    order = np.argsort(vertex_keys)
    found: list[Indices] = []
    for corners in _half_of_the_faces(vectors, marks):
        # The opposite face is the reflection in the centre, which turns the orientation round.
        for sums in (corners, total - corners[:, ::-1]):
            wanted = keys(sums)
            place = np.searchsorted(vertex_keys, wanted, sorter=order)
            rows = order[np.minimum(place, len(order) - 1)]
            if (vertex_keys[rows] != wanted).any():
                raise GeometryError(
                    "three generators are neither in one plane nor clearly out of it (determinant "
                    f"near {TOLERANCE.flat:g}), so the faces do not close; round the generators."
                )
            found.extend(rows)
    return found


def _half_of_the_faces(vectors: Floats, marks: Floats) -> Iterator[Floats]:
    """Yield one of each two opposite faces, as the marks' sums at its corners, (m, 2k, 2)."""
    found = lines(vectors)
    oriented = np.where(found.turned[:, None], -1, 1) * marks[found.others]
    lowest = marks[found.others[found.turned]].sum(axis=0)
    yield from _faces_at_infinity(found, vectors, oriented, lowest, marks)
    for met in crossings(found):
        steps = oriented[met.order] * met.step[..., None]
        bottom = met.below @ oriented + lowest + marks[found.first]
        after = bottom[:, None] + np.cumsum(steps, axis=1)  # (b, n, 2)
        yield from _faces_of_crossings(found, met, after, oriented)


def _faces_of_crossings(
    found: Lines, met: Crossings, after: Floats, oriented: Floats
) -> Iterator[Floats]:
    """Yield the faces with normal u, g_0·u > 0: one for each point where lines cross.

    Each is taken on the lowest in angle of its lines, where the others become positive.
    """
    starts = np.hstack([np.ones((len(met.rows), 1), dtype=bool), met.last[:, :-1]])
    row, place = np.nonzero(starts & met.last & (met.step > 0))
    one, two = oriented[met.rows[row]], oriented[met.order[row, place]]
    base = after[row, place] - two
    yield np.stack([base, base + one, base + one + two, base + two], axis=1)
    for row, end in np.argwhere(met.last & ~starts):
        start = int(np.flatnonzero(starts[row, : end + 1])[-1])
        if (met.step[row, start : end + 1] > 0).all():
            line, crossing = met.rows[row], met.order[row, start : end + 1]
            normal = np.cross(found.unit[line], found.unit[crossing])
            members = np.append(crossing, line)
            yield _polygon(
                normal[np.argmax(np.square(normal).sum(axis=1))],
                found.unit[members],
                oriented[members],
                after[row, end] - oriented[crossing].sum(axis=0),
            )


def _faces_at_infinity(
    found: Lines, vectors: Floats, oriented: Floats, lowest: Floats, marks: Floats
) -> Iterator[Floats]:
    """Yield the faces parallel to g_0: one for each direction of lines, taken at their top end."""
    infinity = vectors[found.first] / np.linalg.norm(vectors[found.first])
    apart = np.einsum("nd,nd->n", found.upward[:-1], found.unit[1:]) > TOLERANCE.flat
    bundles = np.split(np.arange(len(found.unit)), np.flatnonzero(apart) + 1)
    for bundle in bundles:
        normal = found.upward[bundle[0]]
        positive = found.unit @ normal > 0
        positive[bundle] = False
        yield _polygon(
            normal,
            np.vstack([infinity, found.unit[bundle]]),
            np.vstack([marks[found.first], oriented[bundle]]),
            lowest + oriented[positive].sum(axis=0),
        )


def _polygon(normal: Floats, vectors: Floats, marks: Floats, base: Floats) -> Floats:
    """Return the corners, (1, 2k, 2), of the face of k coplanar vectors with this normal."""
    normal = normal / np.linalg.norm(normal)
    basis = orthogonal_basis(normal)
    basis[:, 0] *= np.sign(np.dot(np.cross(basis[:, 0], basis[:, 1]), normal))
    return base + planar(vectors @ basis, marks)[1][None]
