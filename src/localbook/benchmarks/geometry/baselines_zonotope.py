"""What the vertices of zonotopes are timed against: good methods, written down plainly."""

from itertools import combinations

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import ConfigError
from localbook.tropical.zonotopes import keys, random_marks

_BLOCK = 4096  # pairs of generators handled at once


def sorted_angles(generators: Floats) -> Floats:
    """Return the vertices in the plane of generators in general position, (2p, 2)."""
    down = generators[:, 1] < 0
    upper = np.where(down[:, None], -generators, generators)
    upper = upper[np.argsort(np.arctan2(upper[:, 1], upper[:, 0]))]
    right = generators[down].sum(axis=0) + np.cumsum(upper, axis=0)
    return np.vstack([right, generators.sum(axis=0) - right])


def all_pairs(generators: Floats) -> Floats:
    """Return the vertices in space, (p(p - 1) + 2, 3), in O(p³).

    The normal of every two generators is an edge of four chambers on either side; repeats are found
    by the sets of positive generators.
    """
    count = len(generators)
    first, second = np.array(list(combinations(range(count), 2))).T
    payload = np.hstack([generators, random_marks(count)])
    sums = []
    for start in range(0, len(first), _BLOCK):
        i, j = first[start : start + _BLOCK], second[start : start + _BLOCK]
        positive = np.cross(generators[i], generators[j]) @ generators.T > 0
        positive[np.arange(len(i)), i] = positive[np.arange(len(i)), j] = False
        base = positive @ payload
        for with_i, with_j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            sums.append(base + with_i * payload[i] + with_j * payload[j])
    half = np.concatenate(sums)
    every = np.concatenate([half, payload.sum(axis=0) - half])
    return every[np.unique(keys(every[:, 3:]), return_index=True)[1], :3]


def all_determinants(generators: Floats) -> float:
    """Return the volume: the sum of the sizes of all determinants of d generators."""
    chosen = np.array(list(combinations(range(len(generators)), generators.shape[1])))
    return float(np.abs(np.linalg.det(generators[chosen])).sum())


def incremental_qhull(generators: Floats) -> Floats:
    """Return the vertices by adding one generator after the other, with Qhull's hull each time."""
    d = generators.shape[1]
    vertices = np.zeros((1, d))
    for number, generator in enumerate(generators, start=1):
        vertices = np.vstack([vertices, vertices + generator])
        if number >= d:
            vertices = vertices[_qhull(vertices)]
    return vertices


def enumerated_qhull(generators: Floats) -> Floats:
    """Return the vertices as Qhull's hull of all 2^p sums of generators."""
    count = len(generators)
    chosen = (np.arange(1 << count)[:, None] >> np.arange(count)) & 1
    sums: Floats = chosen @ generators
    return sums[_qhull(sums)]


def _qhull(points: Floats) -> Indices:
    try:
        from scipy.spatial import ConvexHull
    except ImportError as error:
        raise ConfigError(
            "this benchmark compares with scipy's Qhull; run `pip install scipy`."
        ) from error
    vertices: Indices = ConvexHull(points).vertices
    return vertices
