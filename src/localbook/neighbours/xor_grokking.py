"""ReLU networks fit noisy XOR clusters in one step and generalise later (xu2024benign).

Four Gaussian clusters at ±µ_1 (label +1) and ±µ_2 (label -1) in R^p, some labels flipped, and
f(x) = sum_j a_j max(w_j · x, 0) of which gradient descent trains W alone. Symbols are the paper's.

The coordinates are ours: gradient descent and a Gaussian W(0) know no axes, so everything is turned
until the means and the first i points lie in the first 2 + i axes. Turned like this, the noise of N
points is a triangle, the Cholesky factor of their Gram matrix, whose entries are independent
(Bartlett, 1933). It is drawn directly: the law is that of p dimensions, the cost that of N + 2.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from localbook.arrays import Floats, Indices, Masks, Row
from localbook.errors import ConfigError
from localbook.experiments.harness import Experiment, Job, each_seed
from localbook.tropical import ReLUNetwork

__all__ = ["METHODS", "Network", "Points", "Xor", "draw", "measure", "train"]


@dataclass(frozen=True)
class Xor:
    """The paper's setting, by default that of its own experiment.

    Attributes
    ----------
    p, n, m : int
        Dimensions, training points, neurons.
    test : int
        New points with clean labels, as many of each cluster.
    strength : float
        The means have length ‖µ‖ = strength √(p / n).
    eta : float
        The probability with which a training label is flipped.
    omega, alpha : float
        The standard deviation of W(0), and the step size.
    times : tuple of int
        The steps after which the network is looked at, rising.
    seeds, methods
        How many, and which of ``METHODS``.

    Raises
    ------
    ConfigError
        If a number makes no sense, or p is less than n + test + 2.
    """

    p: int = 40_000
    n: int = 200
    m: int = 1_000
    test: int = 400
    strength: float = 2.5
    eta: float = 0.05
    omega: float = 1e-15
    alpha: float = 1e-12
    times: tuple[int, ...] = (0, 1, 2, 3, 5, 8, 15, 30, 50)
    seeds: int = 100
    methods: tuple[str, ...] = ("relu", "linear", "weak-means", "large-init")

    def __post_init__(self) -> None:
        if min(self.n, self.m, self.test // 4) < 1 or self.p < self.n + self.test + 2:
            raise ConfigError(
                f"p={self.p}, n={self.n}, m={self.m}, test={self.test}: give at least one point, "
                "one neuron and four test points, and p of at least n + test + 2."
            )
        if not (0 <= self.eta < 0.5 and min(self.strength, self.omega, self.alpha) > 0):
            raise ConfigError(
                f"eta={self.eta} must lie in [0, 0.5), and strength={self.strength}, "
                f"omega={self.omega}, alpha={self.alpha} above zero."
            )
        if not self.times or list(self.times) != sorted({*self.times}) or self.times[0] < 0:
            raise ConfigError(f"times={self.times}: give rising steps from 0 on.")

    @property
    def norm(self) -> float:
        """The length ‖µ‖ of both means."""
        return self.strength * float(np.sqrt(self.p / self.n))


@dataclass(frozen=True, eq=False)
class Points:
    """Points of the four clusters.

    Attributes
    ----------
    x : ndarray (N, d)
        In axes of which the first two are the directions of µ_1 and µ_2.
    y, cluster : ndarray (N,)
        The labels ±1, some of them flipped; and 0 to 3 for µ_1, -µ_1, µ_2, -µ_2.
    source : str
    """

    x: Floats
    y: Floats
    cluster: Indices
    source: str = ""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def clean(self) -> Floats:
        """The labels (N,) before any was flipped."""
        return np.where(self.cluster < 2, 1.0, -1.0)


def draw(setting: Xor, seed: int) -> dict[str, Points]:
    """Return the splits ``train`` and ``test``, whose points have n + test + 2 coordinates."""
    rng = np.random.default_rng(seed)
    n, N = setting.n, setting.n + setting.test
    cluster = np.concatenate([rng.integers(4, size=n), np.arange(setting.test) % 4])
    y = np.where(cluster < 2, 1.0, -1.0)
    y[:n][rng.random(n) < setting.eta] *= -1
    x = np.zeros((N, 2 + N))
    x[:, :2] = rng.normal(size=(N, 2))
    x[np.arange(N), cluster // 2] += setting.norm * np.where(cluster % 2, -1, 1)
    x[:, 2:] = np.tril(rng.normal(size=(N, N)), -1)
    # Point i has i coordinates in the span of those before it; the rest is one length.
    x[np.arange(N), 2 + np.arange(N)] = np.sqrt(rng.chisquare(setting.p - 2 - np.arange(N)))
    source = f"XOR clusters in {setting.p:,} dimensions, {n} points"
    parts = {"train": slice(n), "test": slice(n, N)}
    return {name: Points(x[s], y[s], cluster[s], source) for name, s in parts.items()}


@dataclass(frozen=True, eq=False)
class Network:
    """f(x) = sum_j a_j φ(w_j · x), where φ is the ReLU, or the identity if it is ``linear``.

    Attributes
    ----------
    w, a : ndarray (m, d) and (m,)
        The a_j are ±1/√m, and not trained.
    linear : bool
    """

    w: Floats
    a: Floats
    linear: bool = False

    def scores(self, x: Floats) -> Floats:
        """Return f (N,) at points (N, d)."""
        z = x @ self.w.T
        return (z if self.linear else np.maximum(z, 0)) @ self.a

    def parts(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the odd and the even part of f, each (N,): f(x) = odd + even, f(-x) = even - odd.

        As max(z, 0) = z/2 + |z|/2, the odd part is a linear function of x, whatever the weights.
        """
        z = x @ self.w.T
        half = z @ self.a / 2
        return (2 * half, 0 * half) if self.linear else (half, np.abs(z) @ self.a / 2)

    def on_means(self) -> ReLUNetwork:
        """Return the ReLU network on the plane of the means, with scores (f, 0) for +1 and -1."""
        zeros = np.zeros(len(self.a))
        return ReLUNetwork((self.w[:, :2], np.stack([self.a, zeros])), (zeros, np.zeros(2)))


def train(
    setting: Xor, points: Points, seed: int, *, linear: bool = False
) -> Iterator[tuple[int, Network]]:
    """Yield the network at each of ``setting.times``, by gradient descent on the logistic loss.

    Every step is w_j += (α a_j / n) Σ_i g_i φ'(w_j · x_i) y_i x_i with g_i = 1 / (1 + exp(y_i f)),
    equation (2.2) of the paper; the seed is that of a and W(0).

    Examples
    --------
    >>> xor = Xor(m=100, times=(0, 1))
    >>> points = draw(xor, seed=0)["train"]
    >>> [bool((net.scores(points.x) * points.y > 0).all()) for _, net in train(xor, points, seed=0)]
    [False, True]
    """
    rng = np.random.default_rng([seed, 1])
    x, y, n = points.x, points.y, len(points)
    a = rng.choice([-1.0, 1.0], size=setting.m) / np.sqrt(setting.m)
    w = setting.omega * rng.normal(size=(setting.m, x.shape[1]))
    last = 1 + int(np.flatnonzero(x.any(axis=0))[-1])  # beyond it no training point reaches
    x, trained = np.ascontiguousarray(x[:, :last]), w[:, :last].copy()
    for t in range(setting.times[-1] + 1):
        if t in setting.times:
            w[:, :last] = trained
            yield t, Network(w.copy(), a, linear)
        z = x @ trained.T  # (n, m)
        on: Masks | Floats = np.ones_like(z) if linear else z > 0
        f = np.where(on, z, 0) @ a
        pull = y / (1 + np.exp(y * f))
        trained += (setting.alpha / n) * a[:, None] * ((on * pull[:, None]).T @ x)


def measure(net: Network, train: Points, test: Points) -> Row:
    """Return what the claims are about, rounded to four digits.

    Keys are ``train`` and ``flipped``, the shares of training labels and of flipped ones that are
    fitted (None if there is none); ``test``, the accuracy on clean labels, and ``clusters``, that
    of each; ``linear``, the correlation of f with ⟨Σ y_i x_i, x⟩ on the test points; ``even``, the
    size of f's even part over that of its odd one, and ``symmetric``, the accuracy of the even part
    alone; ``aligned``, how much longer neurons are along the mean of their own label than along the
    other, both by mean absolute values.
    """
    fitted = net.scores(train.x) * train.y > 0
    flipped = train.y != train.clean
    f = net.scores(test.x)
    right = f * test.clean > 0
    odd, even = net.parts(test.x)
    own, other = np.abs(np.where(net.a[:, None] > 0, net.w[:, :2], net.w[:, 1::-1])).mean(axis=0)
    rounded = {
        "train": fitted.mean(),
        "test": right.mean(),
        "linear": np.corrcoef(f, test.x @ (train.y @ train.x))[0, 1],
        "even": np.linalg.norm(even) / np.linalg.norm(odd),
        "symmetric": (even * test.clean > 0).mean(),
        "aligned": own / other,
    }
    return {key: round(float(value), 4) for key, value in rounded.items()} | {
        "flipped": round(float(fitted[flipped].mean()), 4) if flipped.any() else None,
        "clusters": [round(float(right[test.cluster == c].mean()), 4) for c in range(4)],
    }


METHODS: Mapping[str, Mapping[str, float]] = {
    "relu": {},
    "linear": {},
    "weak-means": {"strength": 0.5},
    "large-init": {"omega": 1000.0},
}
"""The paper's network and its controls: what each multiplies in the setting."""


def measured(job: Job, seed: int) -> tuple[Row, list[Row]]:
    """Train one network of a method and look at it at all times: the last row, and all of them."""
    changes: Row = {k: v * getattr(job.setting, k) for k, v in METHODS[job.method].items()}
    setting: Xor = replace(job.setting, **changes)
    splits = draw(setting, seed)
    nets = train(setting, splits["train"], seed, linear=job.method == "linear")
    rows = [{"t": t} | measure(net, splits["train"], splits["test"]) for t, net in nets]
    return {"test_accuracy": rows[-1]["test"], "train_accuracy": rows[-1]["train"]}, rows


XOR_GROKKING = Experiment(
    {"quick": Xor(n=100, m=200, test=200, times=(0, 1, 2, 5, 15), seeds=3), "cpu": Xor()},
    each_seed(measured),
    draw=draw,
)
"""At ``cpu`` the paper's own size."""
