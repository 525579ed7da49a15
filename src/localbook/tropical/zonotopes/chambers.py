"""Sums over the chambers of a central arrangement: what lies behind a zonotope's vertices.

The vertices of Σ [0, 1]·g_i are the sums Σ_{i: g_i·u > 0} g_i, one for each chamber of directions
u that the hyperplanes g_i·u = 0 cut out [1]_. The functions here enumerate the chambers from
*vectors* g_i and sum any *payload* over the positive ones, without listing 2^p subsets: in the
plane by sorting angles, in space by sorting along lines, and beyond at the rays.

A ray v is where the hyperplanes g_i·u = 0 of r - 1 independent vectors meet. At v the chambers have
the signs of v·g_j, and on the vectors M with v·g_j = 0 the signs of a chamber of M, which is an
arrangement in R^(r-1). Every chamber has a ray at which a chosen vector is positive, so looking at
these finds half of all, and the other half is opposite to it.

Whether v·g_j is zero is asked of the determinant of r of the given vectors, whose rounding error
does not grow with the dimension that they are close to. Where that leaves a doubt, the determinants
are taken in whole numbers.

References
----------
.. [1] G. M. Ziegler, "Lectures on Polytopes", 1995, section 7.3 and corollary 7.17.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localbook.arrays import Floats, Indices, Masks
from localbook.errors import GeometryError
from localbook.tropical.points import orthogonal_basis
from localbook.tropical.tolerance import TOLERANCE
from localbook.tropical.zonotopes.labels import keys, random_marks
from localbook.tropical.zonotopes.planar import planar
from localbook.tropical.zonotopes.space import solid

_BLOCK = 1 << 18  # products held at once
_MOST = 20_000  # rays that are looked at in whole numbers, some 100 microseconds each

MOST_CHAMBERS = 20_000_000
"""More are refused: they would take an hour and all memory."""

Numbers = NDArray[Any]  # float64, or whole numbers of any length


def chambers(vectors: Floats, payload: Floats) -> Floats:
    """Return, for each chamber (n,), the sum of the payloads (p, q) of the positive vectors (p, r).

    The vectors are not zero, no two are parallel (r = 2 allows it), and they span R^r. In the plane
    the chambers are in counter-clockwise order.
    """
    rank = vectors.shape[1]
    if rank == 0:
        return np.zeros((1, payload.shape[1]))
    if rank == 1:
        up = vectors[:, 0] > 0
        return np.stack([payload[up].sum(axis=0), payload[~up].sum(axis=0)])
    if rank == 2:
        return planar(vectors, payload)[1]
    count = most_chambers(*vectors.shape)
    if count > MOST_CHAMBERS:
        raise GeometryError(
            f"{len(vectors)} generators in R^{rank} may have {float(count):.0e} vertices: take "
            "fewer, as reduce_order() does, or support(), which needs none."
        )
    if rank == 3:
        return solid(vectors, payload)
    return at_rays(vectors, payload)


def most_chambers(count: int, rank: int) -> int:
    """Return 2 Σ_{k<r} C(p - 1, k): the chambers of p vectors in general position in R^r."""
    return 2 * sum(comb(count - 1, k) for k in range(rank))


def at_rays(vectors: Floats, payload: Floats) -> Floats:
    """Return, for each chamber (n,), the sum of the payloads (p, q) of the positive vectors (p, r).

    The vectors are not zero, no two are parallel, and they span R^r.
    """
    marks = random_marks(len(vectors))
    return _chambers(vectors, np.hstack([payload, marks]))[:, :-2]


def _chambers(vectors: Floats, payload: Floats) -> Floats:
    """Return the sums over the chambers; the last two columns of the payload tell sets apart."""
    if vectors.shape[1] == 2:
        return planar(vectors, payload)[1]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    subsets = _subsets(len(unit) - 1, unit.shape[1] - 1) + 1  # without the first vector
    block = max(1, _BLOCK // len(unit))
    blocks = [subsets[start : start + block] for start in range(0, len(subsets), block)]
    half = _in_general_position(unit, blocks, payload)
    if half is not None:
        return np.concatenate([half, payload.sum(axis=0) - half])
    found, doubtful = [], []
    for some in blocks:
        rays = _rays(unit, some)
        clear = _clear(rays)
        doubtful.append(some[~clear])
        found.append(_at_simple(rays.select(clear), payload))
    for signs, normal in _flats(vectors, unit, np.concatenate(doubtful)):
        on = signs == 0
        # Without the coordinate in which its normal is largest a hyperplane is R^(r-1), exactly.
        inside = np.delete(vectors[on], np.abs(normal).argmax(), axis=1)
        found.append((signs > 0) @ payload + _chambers(inside, payload[on]))
    half = np.concatenate(found)
    half = half[np.unique(keys(half[:, -2:]), return_index=True)[1]]
    return np.concatenate([half, payload.sum(axis=0) - half])


def _in_general_position(unit: Floats, blocks: list[Indices], payload: Floats) -> Floats | None:
    """Return the sums over half of the chambers, each found once, or None if a ray is in doubt.

    A chamber is found where the height c·u is least on its part of the plane g_0·u = 1; those on
    which it has no least value are cut by the arrangement in the plane at infinity, on which c < 0.
    """
    count, rank = unit.shape
    c = np.random.default_rng(2).normal(size=rank)
    ridges = np.pad(_subsets(count - 1, rank - 2) + 1, ((0, 0), (0, 1)), constant_values=count)
    slopes = _rays(np.vstack([unit, c]), ridges).heights[:, 0]  # det(ridge, c, g_0)
    if np.abs(slopes).min() <= TOLERANCE.unsure * TOLERANCE.certain:
        return None
    table = np.zeros((count,) * (rank - 2))
    table[tuple(ridges[:, :-1].T)] = np.sign(slopes)
    found = []
    for subsets in blocks:
        rays = _rays(unit, subsets)
        if not _clear(rays).all():
            return None
        side = np.sign(rays.heights[:, 0])
        positive = (rays.heights * side[:, None] > 0).astype(np.float64)
        for k in range(rank - 1):  # c·u grows along the edge on which g_k leaves zero
            slope = table[tuple(np.delete(subsets, k, axis=1).T)] * (-1) ** (rank - 2 - k)
            positive[np.arange(len(subsets)), subsets[:, k]] = slope * side > 0
        found.append(positive @ payload)
    basis = orthogonal_basis(unit[0])
    level = np.vstack([-c, unit[1:]]) @ basis
    first = np.arange(count)[:, None] == 0
    below = _chambers(level, np.hstack([first, np.where(first, 0, payload)]))
    found.append(below[below[:, 0] > 0.5, 1:] + payload[0])
    return np.concatenate(found)


def _clear(rays: "Rays") -> Masks:
    """Tell which rays lie on no hyperplanes but those of their subset, beyond doubt."""
    clear: Masks = np.abs(rays.heights).min(axis=1) > TOLERANCE.unsure * rays.zero
    return clear


@dataclass(frozen=True)
class Rays:
    """Rays, each where the hyperplanes of r - 1 vectors meet.

    Attributes
    ----------
    subsets : int array, shape (n, r - 1)
    normals : array, shape (n, r)
        Along the rays, as long as the vectors' volume.
    heights : array, shape (n, p)
        Determinants of the subset and one more vector; infinite for those of the subset.
    zero : float array, shape (n,)
        Up to where a height is taken for zero.
    """

    subsets: Indices
    normals: Numbers
    heights: Numbers
    zero: Floats

    def select(self, chosen: Masks) -> "Rays":
        """Return some of the rays."""
        if chosen.all():
            return self
        return Rays(
            self.subsets[chosen], self.normals[chosen], self.heights[chosen], self.zero[chosen]
        )


def _rays(vectors: Numbers, subsets: Indices) -> Rays:
    forms = vectors.T[:, subsets[:, 0]]  # (r, n)
    for size in range(1, subsets.shape[1]):
        forms = _wedge(forms, vectors.T[:, subsets[:, size]], size)
    alternating = (-1) ** np.arange(len(forms))[::-1, None]
    normals = (forms[::-1] * alternating).T
    heights = normals @ vectors.T
    heights[np.arange(len(subsets))[:, None], subsets] = np.inf
    if vectors.dtype == object:
        return Rays(subsets, normals, heights, np.zeros(len(subsets)))
    size = np.sqrt(np.einsum("nr,nr->n", normals, normals))
    zero = np.maximum(TOLERANCE.certain * size, TOLERANCE.inactive)
    return Rays(subsets, normals, heights, zero)


def _wedge(forms: Numbers, vectors: Numbers, size: int) -> Numbers:
    """Return the minors (C(r, k+1), n) of k + 1 vectors from those of k, (C(r, k), n)."""
    return np.stack(
        [
            sum(sign * forms[minor] * vectors[axis] for sign, minor, axis in terms)
            for terms in _laplace(len(vectors), size)
        ]
    )


@cache
def _laplace(rank: int, size: int) -> list[list[tuple[int, int, int]]]:
    """Return for each set of k + 1 axes the signs, the minors and the axes of its expansion."""
    place = {axes: n for n, axes in enumerate(combinations(range(rank), size))}
    return [
        [((-1) ** (size - k), place[axes[:k] + axes[k + 1 :]], axes[k]) for k in range(size + 1)]
        for axes in combinations(range(rank), size + 1)
    ]


def _subsets(count: int, size: int) -> Indices:
    """Return all subsets of a size, (C(count, size), size), increasing."""
    rows = np.zeros((1, 0), dtype=np.intp)
    last = np.array([-1])
    for _ in range(size):
        more = count - 1 - last
        parent = np.repeat(np.arange(len(rows)), more)
        last = np.arange(len(parent)) + (last + 1 - np.cumsum(more) + more)[parent]
        rows = np.column_stack([rows[parent], last])
    return rows


def _at_simple(rays: Rays, payload: Floats) -> Floats:
    """Return the sums at rays on which only r - 1 hyperplanes lie: all signs of these occur."""
    subsets = rays.subsets
    positive = (rays.heights * np.sign(rays.heights[:, :1]) > 0).astype(np.float64)
    np.put_along_axis(positive, subsets, 0, axis=1)
    base = positive @ payload
    found, one = keys(base[None, :, -2:]), keys(payload[:, -2:])  # keys add up as the sums do
    for column in subsets.T:
        found = np.concatenate([found, found + one[column]])
    place = np.unique(found, return_index=True)[1]
    signs, row = np.divmod(place, max(1, len(base)))
    bits = (signs[:, None] >> np.arange(subsets.shape[1]) & 1).astype(np.float64)
    sums: Floats = base[row]
    for bit, column in zip(bits.T, subsets[row].T, strict=True):
        sums += bit[:, None] * payload[column]
    return sums


def _flats(vectors: Floats, unit: Floats, subsets: Indices) -> list[tuple[Indices, Numbers]]:
    """Return the rays of these subsets, each once: the signs (p,) of all vectors, and the ray."""
    rays, whole = _rays(unit, subsets), _whole(vectors)
    found = _each_once(rays, whole, TOLERANCE.wide)
    return _each_once(rays, whole, np.inf) or [] if found is None else found


def _each_once(rays: Rays, whole: Numbers, wide: float) -> list[tuple[Indices, Numbers]] | None:
    """Return the rays once each, or None where what is taken for zero contradicts itself.

    Those with the longest normals are the surest, and say which other subsets share their ray.
    """
    size = np.sqrt(np.square(rays.normals).sum(axis=1))
    covered = np.zeros(len(size), dtype=bool)
    found = []
    exactly = 0
    for k in np.argsort(-size):
        if covered[k]:
            continue
        normal, heights, zero = rays.normals[k], rays.heights[k], rays.zero[k]
        near = np.abs(heights) <= TOLERANCE.unsure * zero
        if (near & (np.abs(heights) > (zero if size[k] > wide else -1))).any():
            exactly += 1
            if exactly > _MOST:
                raise GeometryError(
                    f"more than {_MOST} sets of generators are neither in one hyperplane nor "
                    "clearly out of it; round the generators."
                )
            exact = _rays(whole, rays.subsets[k : k + 1])
            normal, heights, zero = exact.normals[0], exact.heights[0], 0.0
        signs = (heights > zero).astype(np.intp) - (heights < -zero)
        signs[rays.subsets[k]] = 0
        on = signs == 0
        if on.all():
            continue  # the subset is dependent
        same = on[rays.subsets].all(axis=1)
        if np.isfinite(wide) and (
            np.count_nonzero(same) != comb(np.count_nonzero(on[1:]), rays.subsets.shape[1])
            or (size[same & covered] > TOLERANCE.doubtful).any()
        ):
            return None
        covered |= same
        if signs[0]:
            found.append((signs * signs[0], normal))
    return found


def _whole(vectors: Floats) -> Numbers:
    """Return positive multiples of the vectors in whole numbers."""
    rows = []
    for vector in vectors.tolist():
        ratios = [x.as_integer_ratio() for x in vector]
        common = max(q for _, q in ratios)  # a power of two, as all are
        rows.append([n * (common // q) for n, q in ratios])
    return np.array(rows, dtype=object)
