"""Activation patterns of a ReLU on given points: all of them, how many, and some at random."""

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats, Masks
from localbook.errors import ConfigError
from localbook.tropical.zonotopes.chambers import most_chambers
from localbook.tropical.zonotopes.zonotope import Zonotope


def activation_patterns(X: ArrayLike) -> Masks:
    """Return all activation patterns that a neuron can have on points: which have X·u > 0.

    They are the chambers of the zonotope whose generators are the points [1]_.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Points; a last column of ones bears a bias.

    Returns
    -------
    bool array, shape (P, n)
        Each pattern once.

    Raises
    ------
    GeometryError
        If the points are not finite numbers of this shape.

    References
    ----------
    .. [1] M. Pilanci and T. Ergen, "Neural Networks are Convex Regularizers: Exact Polynomial-time
       Convex Optimization Formulations for Two-layer Networks", ICML 2020.

    Examples
    --------
    >>> from localbook import tropical
    >>> line = [[0, 1], [1, 1], [2, 1]]  # three points on a line, with biases
    >>> len(tropical.activation_patterns(line)), tropical.most_patterns(3, 2)
    (6, 6)
    """
    points = np.asarray(X, dtype=float)
    return Zonotope(points, np.zeros(points.shape[-1])).chambers()


def most_patterns(n: int, r: int) -> int:
    """Return 2 Σ_{k<r} C(n - 1, k), the number of patterns of n points in general position in R^r.

    Points in any other position have fewer (Cover 1965).
    """
    return most_chambers(n, r)


def sampled_patterns(X: Floats, count: int, seed: int) -> Masks:
    """Return some activation patterns, those of Gaussian directions, in random order.

    Parameters
    ----------
    X : float array, shape (n, d)
        Points.
    count : int
        How many different patterns.
    seed : int

    Returns
    -------
    bool array, shape (count, n)

    Raises
    ------
    ConfigError
        If 200,000 directions do not have that many.
    """
    rng = np.random.default_rng(seed)
    found = np.zeros((0, len(X)), dtype=bool)
    for _ in range(20):
        more = rng.normal(size=(10_000, X.shape[1])) @ X.T > 0
        both = np.concatenate([found, more])
        found = both[np.sort(np.unique(both, axis=0, return_index=True)[1])]
        if len(found) >= count:
            return found[:count]
    raise ConfigError(f"only {len(found)} patterns met, not {count}: take activation_patterns(X).")
