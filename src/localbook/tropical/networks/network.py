"""A ReLU network as plain float64 arrays: what every exact computation here starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localbook.arrays import Floats, floats
from localbook.errors import ConfigError
from localbook.tropical.networks.blocks import BlockMatrix, Matrix, product
from localbook.tropical.tolerance import TOLERANCE

AT_ONCE = 2**23
"""Values of one layer that are held in memory at a time."""

BLOCK = 512
"""Points whose hidden values are held at a time, few enough to stay in the processor's cache."""


@dataclass(frozen=True, repr=False)
class ReLUNetwork:
    """The map x -> W_L a(... a(W_1 x + b_1) ...) + b_L with a(z) = max(z, 0) + s min(z, 0).

    Every hidden neuron has its own s: 0 for the ReLU, which is the default; 1 for a value that is
    passed on, as by a skip connection; -1 for the absolute value; others for leaky ReLUs.

    Attributes
    ----------
    weights : tuple of ndarray
        W_l, each (outputs, inputs), converted to float64. :func:`from_torch` gives large ones with
        few non-zeros as a ``BlockMatrix``, which :func:`numpy.asarray` makes an array of.
    biases : tuple of ndarray
        b_l, each (outputs,), converted to float64.
    slopes : tuple of ndarray
        s of the hidden neurons, each as b_l; one fewer than biases.

    Raises
    ------
    ConfigError
        If the shapes do not chain, or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> fold = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> net = tropical.ReLUNetwork((fold, np.eye(2)), (np.zeros(2), np.zeros(2)))
    >>> net(np.array([[2.0, 1.0], [-1.0, 0.0]])).tolist()
    [[3.0, 1.0], [0.0, 0.0]]
    """

    weights: tuple[Any, ...]
    biases: tuple[Floats, ...]
    slopes: tuple[Floats, ...] = ()

    def __post_init__(self) -> None:
        weights = tuple(
            w if isinstance(w, BlockMatrix) else np.array(floats(w)) for w in self.weights
        )
        biases = tuple(np.array(floats(b)) for b in self.biases)
        check_layers(weights, biases)
        given = self.slopes or [np.zeros(len(b)) for b in biases[:-1]]
        slopes = tuple(np.array(floats(s)) for s in given)
        if [s.shape for s in slopes] != [b.shape for b in biases[:-1]]:
            raise ConfigError("give slopes of the shapes of all biases but the last.")
        if not all(np.isfinite(s).all() for s in slopes):
            raise ConfigError("a slope is not finite: give 0 for a ReLU.")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)
        object.__setattr__(self, "slopes", slopes)

    @property
    def inputs(self) -> int:
        """The dimension n of the input space."""
        return int(self.weights[0].shape[1])

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return len(self.biases[-1])

    @property
    def neurons(self) -> int:
        """The number of hidden neurons, without those that only pass a value on."""
        return sum(int(np.count_nonzero(slope != 1)) for slope in self.slopes)

    @cached_property
    def magnitudes(self) -> tuple[Any, ...]:
        """The absolute values of the weights: how errors add up."""
        return tuple(map(abs, self.weights))

    def __repr__(self) -> str:
        widths = [self.inputs, *map(len, self.biases)]
        return f"ReLUNetwork {'-'.join(map(str, widths))}"

    def __call__(self, x: ArrayLike) -> Floats:
        """Return the outputs (N, classes) at the points x (N, n)."""
        points = floats(x)
        step = max(1, AT_ONCE // max(map(len, self.biases)))
        if len(points) > step:
            return np.concatenate([self(points[k : k + step]) for k in range(0, len(points), step)])
        out = points
        for w, b, s in zip(self.weights, self.biases, (*self.slopes, None), strict=True):
            out = _applied(w, out) + b
            if s is not None:
                out = np.maximum(out, 0) + s * np.minimum(out, 0) if s.any() else np.maximum(out, 0)
        return out

    def pattern(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Return which hidden neurons are active (N, neurons) at the points x (N, n).

        A neuron within rounding of zero is not active: where it is zero all over a region, it must
        not be active here and there.
        """
        points = floats(x)
        blocks = [points[k : k + BLOCK] for k in range(0, max(1, len(points)), BLOCK)]
        return np.concatenate([self._pattern(block) for block in blocks])

    def _pattern(self, hidden: Floats) -> NDArray[np.bool_]:
        size = np.abs(hidden)  # of all terms added up, whatever their signs
        found = [np.zeros((len(hidden), 0), dtype=np.bool_)]
        for k, (b, s) in enumerate(zip(self.biases[:-1], self.slopes, strict=True)):
            hidden = _applied(self.weights[k], hidden) + b
            size = _applied(self.magnitudes[k], size) + np.abs(b)
            active = hidden > TOLERANCE.inactive * size
            gain = np.where(active, 1, s)
            hidden, size = hidden * gain, size * np.abs(gain)
            found.append(active[:, s != 1])
        return np.concatenate(found, axis=1)

    def after(self, matrix: ArrayLike, shift: ArrayLike) -> "ReLUNetwork":
        """Return the network u -> self(matrix @ u + shift), matrix (n, k) and shift (n,)."""
        first = product(self.weights[0], np.asarray(matrix, dtype=np.float64))
        moved = product(self.weights[0], np.asarray(shift, dtype=np.float64)[:, None])[:, 0]
        return replace(
            self,
            weights=(first, *self.weights[1:]),
            biases=(moved + self.biases[0], *self.biases[1:]),
        )

    def with_relus_only(self) -> "ReLUNetwork":
        """Return the same function with slopes of 0: a(z) = max(z, 0) - s max(-z, 0)."""
        if not any(slope.any() for slope in self.slopes):
            return self
        weights, biases = [], []
        split = np.zeros((self.inputs, 0))  # of the inputs of each layer: (width, twins)
        for w, b, s in zip(self.weights, self.biases, (*self.slopes, None), strict=True):
            full = np.asarray(w)
            full = np.hstack([full, full @ split])
            twin = np.flatnonzero(s) if s is not None else np.empty(0, dtype=np.intp)
            weights.append(np.vstack([full, -full[twin]]))
            biases.append(np.concatenate([b, -b[twin]]))
            split = np.zeros((len(b), len(twin)))
            if s is not None:
                split[twin, np.arange(len(twin))] = -s[twin]
        return ReLUNetwork(tuple(weights), tuple(biases))


def check_layers(weights: Sequence[Any], biases: Sequence[NDArray[Any]]) -> None:
    """Refuse layers (outputs, inputs) that do not chain or are not finite, with a ConfigError."""
    if not weights or len(weights) != len(biases):
        raise ConfigError(
            f"{len(weights)} weight matrices with {len(biases)} biases: "
            "give at least one matrix and exactly one bias for each."
        )
    width = weights[0].shape[-1] if weights[0].shape else 0
    for number, (w, b) in enumerate(zip(weights, biases, strict=True), start=1):
        if len(w.shape) != 2 or 0 in w.shape or w.shape[1] != width or b.shape != w.shape[:1]:
            raise ConfigError(
                f"affine layer {number} has weights {w.shape} and bias {b.shape}, but takes "
                f"{width} inputs: give weights (outputs, {width}) and bias (outputs,)."
            )
        finite = w.finite() if isinstance(w, BlockMatrix) else np.isfinite(w).all()
        if not (finite and np.isfinite(b).all()):
            raise ConfigError(
                f"affine layer {number} has weights that are not finite: "
                "check the training that produced them for divergence."
            )
        width = len(w)


def _applied(weight: Matrix, rows: Floats) -> Floats:
    """Return weight @ x for all rows x (N, width)."""
    if isinstance(weight, BlockMatrix):
        return weight.product(rows.T).T
    return rows @ weight.T
