"""Networks share subspaces of a layer rather than single units (li2016convergent).

Units u of one network and v of another have the correlation C_uv over the samples, of which each
position of an image is one. *One-to-one* partners maximise the sum of C_uv, an assignment; in
*semi-matching* each unit takes its best, and partners may repeat. *Sparse prediction* fits a unit
from few of the other network's. *Spectral clustering* of the units of both networks, with abs(C) as
their similarity, finds groups that match many to many. The networks turned at random, the test of
clusters, and images (not positions) held out are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import block_diag
from scipy.optimize import linear_sum_assignment
from scipy.stats import ortho_group
from torch import Tensor

from localbook.arrays import Floats, Indices, Masks
from localbook.errors import ConfigError
from localbook.local import Matching

_LIVE = 1e-6  # of the largest deviation: what varies less is a dead unit
_RIDGE = 1e-6  # so that units that say the same are no trouble to the lasso's path


def samples(layer: Tensor) -> Floats:
    """Return a layer (N, C), or (N, C, H, W), as a matrix (samples, C); images in their order."""
    if layer.ndim not in (2, 4):
        raise ConfigError(f"a layer has shape (N, C) or (N, C, H, W), not {tuple(layer.shape)}.")
    return layer.detach().movedim(1, -1).flatten(0, -2).double().cpu().numpy()


def live(layer: Tensor) -> Masks:
    """Return which units (C,) vary at all; the others have no correlation with anything."""
    deviation = samples(layer).std(axis=0)
    return np.asarray(deviation > _LIVE * max(deviation.max(), 1e-150))


def correlation(a: Tensor, b: Tensor) -> Floats:
    """Return C (units of a, units of b), signed, of units' answers to the same samples.

    Answers are (N, C) or (N, C, H, W); a dead unit's correlations are 0.
    """
    x, y = samples(a), samples(b)
    if len(x) != len(y):
        raise ConfigError(f"{len(x)} and {len(y)} samples: correlate layers on the same images.")
    x, y = ((z - z.mean(axis=0)) * alive for z, alive in ((x, live(a)), (y, live(b))))
    lengths = (np.maximum(np.linalg.norm(z, axis=0), 1e-150) for z in (x, y))
    return np.asarray(x.T @ y / np.outer(*lengths))


def semi_match(a: Tensor, b: Tensor) -> Matching:
    """Pair each unit of one layer with the unit of another that it correlates with most."""
    C = correlation(a, b)
    return Matching(torch.from_numpy(C.argmax(axis=1)), torch.from_numpy(C.max(axis=1)))


def assigned(C: ArrayLike) -> Floats:
    """Return the correlation of each unit with its one-to-one partner, from C (units, units)."""
    matrix = np.asarray(C)
    return np.asarray(matrix[linear_sum_assignment(matrix, maximize=True)])


def rotation(units: int, rng: np.random.Generator, *, keep_mean: bool = False) -> Floats:
    """Return a random orthogonal matrix (C, C), uniform among all, or among those with Q 1 = 1.

    The second kind keeps what all units have in common, such as an image's brightness.
    """
    if units < 2 + keep_mean:
        raise ConfigError(f"{units} units cannot be turned; give at least {2 + keep_mean}.")
    if not keep_mean:
        return np.asarray(ortho_group.rvs(units, random_state=rng))
    axis = np.full(units, units**-0.5) - np.eye(units)[0]
    basis = np.eye(units) - 2 * np.outer(axis, axis) / (axis @ axis)  # reflects e_1 onto 1 / √C
    inner = block_diag(1.0, rotation(units - 1, rng)) if units > 2 else np.eye(2)
    return np.asarray(basis @ inner @ basis)


def rotated(layer: Tensor, Q: ArrayLike) -> Tensor:
    """Return a layer whose standardised units z are Q^T z, of the same shape; dead units stay 0."""
    z = layer.detach().double().movedim(1, -1)
    flat = z.flatten(0, -2)
    deviation = flat.std(dim=0, correction=0)
    deviation = torch.where(torch.from_numpy(live(layer)), deviation, torch.inf)
    return ((z - flat.mean(dim=0)) / deviation @ torch.as_tensor(Q)).movedim(-1, 1)


def turned(C: ArrayLike, own: ArrayLike, Q: ArrayLike) -> Floats:
    """Return the correlations with a layer b that is :func:`rotated` by Q.

    From C (units of a, units of b), those with the layer, and ``own``, those of b with itself.
    """
    q = np.asarray(Q, dtype=float)
    variance = (q * (np.asarray(own) @ q)).sum(axis=0)
    return np.asarray(np.asarray(C) @ q / np.sqrt(np.maximum(variance, 1e-150)))


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments of the live units of two layers, first those of a, then those of b.

    Attributes
    ----------
    fit : float array, shape (C, C)
        Correlations on the images to fit on.
    test : float array, shape (C, C)
        Mean products on the others, about the mean and in the deviation of the first.
    mean : float array, shape (C,)
        On the others.
    first : int
        So many of the units are a's.
    """

    fit: Floats
    test: Floats
    mean: Floats
    first: int

    @property
    def sides(self) -> tuple[Indices, Indices]:
        """The numbers of a's units and those of b's."""
        every = np.arange(len(self.fit))
        return every[: self.first], every[self.first :]


def moments(a: Tensor, b: Tensor, fit: ArrayLike) -> Moments:
    """Return the moments of two layers on images to fit on (N,), by a mask, and on the others.

    Units that are dead on either part are left out.
    """
    mask = np.asarray(fit, dtype=bool)
    if len(a) != len(b) or mask.shape != (len(a),) or not 0 < mask.sum() < len(mask):
        raise ConfigError(
            f"{len(a)} and {len(b)} images, a mask of shape {mask.shape}: give layers on the same "
            "images, and a mask over images that leaves some on both sides."
        )
    alive = [live(layer[mask]) & live(layer[~mask]) for layer in (a, b)]
    parts = [
        np.hstack([samples(layer[of])[:, on] for layer, on in zip((a, b), alive, strict=True)])
        for of in (mask, ~mask)
    ]
    mean, deviation = parts[0].mean(axis=0), parts[0].std(axis=0)
    x, new = ((part - mean) / deviation for part in parts)
    return Moments(x.T @ x / len(x), new.T @ new / len(new), new.mean(axis=0), int(alive[0].sum()))


def r2(m: Moments, inputs: ArrayLike, targets: ArrayLike) -> Floats:
    """Return the held-out R² of each target unit, fitted by least squares from the input units.

    Of inputs that depend on each other the smallest weights are taken. No inputs give the mean.
    """
    S, t = np.asarray(inputs, dtype=int), np.asarray(targets, dtype=int)
    w = np.linalg.pinv(m.fit[np.ix_(S, S)], rcond=1e-10, hermitian=True) @ m.fit[np.ix_(S, t)]
    crossed = np.einsum("st,st->t", w, m.test[np.ix_(S, t)])
    squared = np.einsum("st,sr,rt->t", w, m.test[np.ix_(S, S)], w)
    total = m.test[t, t]
    return np.asarray(1 - (total - 2 * crossed + squared) / (total - m.mean[t] ** 2))


def supports(m: Moments, source: ArrayLike, target: int, counts: Sequence[int]) -> list[Indices]:
    """Return for each count the last support of at most so many units on the lasso's path.

    The path is that of min ½ E(z_t - wᵀz)² + λ|w|, from the largest λ down, followed exactly by
    least-angle regression (Efron et al. 2004).
    """
    from sklearn.linear_model import lars_path_gram

    S = np.asarray(source, dtype=int)
    if not len(S) or min(counts, default=0) < 1:
        raise ConfigError(f"{len(S)} units, counts {tuple(counts)}: give units and counts above 0.")
    _, _, path = lars_path_gram(
        m.fit[S, target].copy(),
        m.fit[np.ix_(S, S)] + _RIDGE * np.eye(len(S)),
        n_samples=1,
        max_iter=2 * max(counts),
        method="lasso",
    )
    sizes = (path != 0).sum(axis=0)
    last = [np.flatnonzero(np.maximum.accumulate(sizes) <= count)[-1] for count in counts]
    return [S[path[:, step] != 0] for step in last]


def sparse(m: Moments, source: ArrayLike, targets: ArrayLike, counts: Sequence[int]) -> Floats:
    """Return the held-out R² (targets, counts) of few units: chosen by the lasso, then refitted."""
    every = np.asarray(targets, dtype=int).tolist()
    found = [[r2(m, S, [t])[0] for S in supports(m, source, t, counts)] for t in every]
    return np.array(found).reshape(len(every), len(counts))


def clusters(m: Moments, k: int, seed: int) -> Indices:
    """Return the cluster (C,) of each unit of both layers, by spectral clustering of abs(C)."""
    from sklearn.cluster import SpectralClustering

    if not 2 <= k < len(m.fit):
        raise ConfigError(f"k={k}: {len(m.fit)} units make 2 to {len(m.fit) - 1} clusters.")
    model = SpectralClustering(k, affinity="precomputed", random_state=seed)
    return np.asarray(model.fit_predict(np.abs(m.fit)), dtype=np.intp)


def reassigned(m: Moments, labels: ArrayLike, rng: np.random.Generator) -> Indices:
    """Return random clusters (C,) with as many units of each layer in each as there were."""
    of = np.asarray(labels, dtype=np.intp)
    return np.concatenate([rng.permutation(of[side]) for side in m.sides])


def within(m: Moments, labels: ArrayLike, *, best_only: bool = False) -> Floats:
    """Return the held-out R² (C,) of each unit from the other layer's units of its cluster.

    Or with ``best_only`` from the one of them that correlates most. It is 0 for a unit whose
    cluster has none: the mean is all that can be said.
    """
    of, found = np.asarray(labels), np.zeros(len(m.fit))
    for cluster in np.unique(of):
        a, b = (side[of[side] == cluster] for side in m.sides)
        for some, others in ((a, b), (b, a)):
            if best_only and len(others):
                best = others[np.abs(m.fit[np.ix_(some, others)]).argmax(axis=1)]
                found[some] = [r2(m, [o], [t])[0] for o, t in zip(best, some, strict=True)]
            elif len(others):
                found[some] = r2(m, others, some)
    return found
