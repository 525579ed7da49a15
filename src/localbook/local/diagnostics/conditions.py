"""How a layer represents conditions: what neurons and dimensions keep of a dichotomy of them."""

from itertools import permutations, product

import numpy as np

from localbook.arrays import Floats, Indices
from localbook.errors import ConfigError


def parallelism(R: Floats, t: Floats) -> float:
    """Return the parallelism score of a dichotomy of conditions in a layer.

    Conditions of both classes are paired, and it is the mean cosine of the differences, for the
    pairing where it is largest. Bernardi et al., "The geometry of abstraction in the hippocampus
    and prefrontal cortex" (2020).

    Parameters
    ----------
    R : float array, shape (P, m)
        What the layer's m neurons do in each condition.
    t : float array, shape (P,)
        The dichotomy, -1 or 1. All (P/2)! pairings are tried.

    Returns
    -------
    float
        1 where all differences are parallel, 0 where all conditions are orthonormal.

    Raises
    ------
    ConfigError
        If the shapes do not fit, or there are not two to six conditions of each class.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import local
    >>> square = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    >>> first = square[:, 0]
    >>> local.parallelism(square, first), local.inherited(square, first)
    (1.0, 0.5)
    """
    _check(R, t)
    up, down = R[t > 0], R[t < 0]
    if not 2 <= len(up) == len(down) <= 6:
        raise ConfigError(f"{len(up)} and {len(down)} conditions: give two to six of each class.")
    best = -1.0
    for order in permutations(range(len(down))):
        v = up - down[list(order)]
        v = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300)
        cosines = v @ v.T
        best = max(best, (cosines.sum() - np.trace(cosines)) / (len(v) * (len(v) - 1)))
    return float(best)


def ccgp(R: Floats, cluster: Indices, t: Floats) -> float:
    """Return the cross-condition generalisation performance of a dichotomy of clusters.

    A ridge regression learns from the points of all clusters but one of each class, and is tested
    on these two. Its penalty, as large as the features' mean variance, keeps it from following the
    noise within clusters. Bernardi et al. (2020), as for :func:`parallelism`.

    Parameters
    ----------
    R : float array, shape (N, m)
        What the layer's m neurons do at each point.
    cluster : int array, shape (N,)
        The condition that each point is of.
    t : float array, shape (N,)
        The dichotomy, -1 or 1, the same for all points of a cluster.

    Returns
    -------
    float
        The mean accuracy over all choices of the two; 0.5 is chance.

    Raises
    ------
    ConfigError
        If the shapes do not fit, or a class has only one cluster.
    """
    _check(R, t, cluster)
    up, down = np.unique(cluster[t > 0]), np.unique(cluster[t < 0])
    if min(len(up), len(down)) < 2:
        raise ConfigError("leaving out a cluster of each class needs two of each.")
    found = []
    for pair in product(up, down):
        out = np.isin(cluster, pair)
        mean, level = R[~out].mean(0), t[~out].mean()
        x = R[~out] - mean
        penalty = max(len(x) * x.var(0).mean(), 1e-300) * np.eye(x.shape[1])
        w = np.linalg.solve(x.T @ x + penalty, x.T @ (t[~out] - level))
        found.append((((R[out] - mean) @ w + level) * t[out] > 0).mean())
    return float(np.mean(found))


def inherited(R: Floats, t: Floats) -> float:
    """Return the mean over neurons of their squared correlation with a target.

    Parameters
    ----------
    R : float array, shape (P, m)
        What the layer's m neurons do in each condition.
    t : float array, shape (P,)
        Any target that varies.

    Returns
    -------
    float
        1 where every neuron is a copy of the target. Neurons that do not vary are left out; 0 where
        none does.

    Raises
    ------
    ConfigError
        If the shapes do not fit, or the target is constant.
    """
    _check(R, t)
    if (t == t[0]).all():
        raise ConfigError("a constant target correlates with nothing; give one that varies.")
    r, t = R - R.mean(0), t - t.mean()
    length = np.square(r).sum(0)
    on = length > 1e-12 * max(length.max(), 1e-300)
    return float(np.mean(np.square(t @ r[:, on]) / length[on]) / (t @ t)) if on.any() else 0.0


def _check(R: Floats, *one_each: Floats | Indices) -> None:
    if R.ndim != 2 or not R.size or any(a.shape != R.shape[:1] for a in one_each):
        raise ConfigError(
            f"a layer of shape {R.shape} with {', '.join(str(a.shape) for a in one_each)}: give "
            "rows of neurons, and one number for each row."
        )
