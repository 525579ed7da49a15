"""A ReLU network as plain float64 arrays: what every exact computation here starts from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localbook.arrays import Floats
from localbook.errors import ConfigError
from localbook.tropical.tolerance import TOLERANCE

BLOCK = 512
"""Points whose hidden values are held at a time, few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class ReLUNetwork:
    """The map x -> W_L relu(... relu(W_1 x + b_1) ...) + b_L.

    Attributes
    ----------
    weights : tuple of ndarray
        W_l, each (outputs, inputs), converted to float64.
    biases : tuple of ndarray
        b_l, each (outputs,), converted to float64.

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

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def __post_init__(self) -> None:
        if not self.weights or len(self.weights) != len(self.biases):
            raise ConfigError(
                f"{len(self.weights)} weight matrices with {len(self.biases)} biases: "
                "give at least one matrix and exactly one bias for each."
            )
        weights = tuple(np.array(w, dtype=np.float64) for w in self.weights)
        biases = tuple(np.array(b, dtype=np.float64) for b in self.biases)
        width = weights[0].shape[-1] if weights[0].ndim else 0
        for number, (w, b) in enumerate(zip(weights, biases, strict=True), start=1):
            if w.ndim != 2 or w.size == 0 or w.shape[1] != width or b.shape != w.shape[:1]:
                raise ConfigError(
                    f"affine layer {number} has weights {w.shape} and bias {b.shape}, but takes "
                    f"{width} inputs: give weights (outputs, {width}) and bias (outputs,)."
                )
            if not (np.isfinite(w).all() and np.isfinite(b).all()):
                raise ConfigError(
                    f"affine layer {number} has weights that are not finite: "
                    "check the training that produced them for divergence."
                )
            width = len(w)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)

    @property
    def inputs(self) -> int:
        """The dimension n of the input space."""
        return int(self.weights[0].shape[1])

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return len(self.biases[-1])

    def __call__(self, x: ArrayLike) -> Floats:
        """Return the outputs (N, classes) at the points x (N, n)."""
        out = np.asarray(x, dtype=np.float64) @ self.weights[0].T + self.biases[0]
        for w, b in zip(self.weights[1:], self.biases[1:], strict=True):
            out = np.maximum(out, 0) @ w.T + b
        return out

    def pattern(self, x: ArrayLike) -> NDArray[np.bool_]:
        """Return which hidden neurons are active (N, neurons) at the points x (N, n).

        A neuron within rounding of zero is not active: where it is zero all over a region, it must
        not be active here and there.
        """
        points = np.asarray(x, dtype=np.float64)
        blocks = [points[k : k + BLOCK] for k in range(0, max(1, len(points)), BLOCK)]
        return np.concatenate([self._pattern(block) for block in blocks])

    def _pattern(self, hidden: Floats) -> NDArray[np.bool_]:
        size = np.abs(hidden)  # of all terms added up, whatever their signs
        active = [np.zeros((len(hidden), 0), dtype=np.bool_)]
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden, size = hidden @ w.T + b, size @ np.abs(w).T + np.abs(b)
            active.append(hidden > TOLERANCE.inactive * size)
            hidden, size = hidden * active[-1], size * active[-1]
        return np.concatenate(active, axis=1)

    def after(self, matrix: ArrayLike, shift: ArrayLike) -> "ReLUNetwork":
        """Return the network u -> self(matrix @ u + shift), matrix (n, k) and shift (n,)."""
        first = self.weights[0] @ np.asarray(matrix, dtype=np.float64)
        bias = self.weights[0] @ np.asarray(shift, dtype=np.float64) + self.biases[0]
        return ReLUNetwork((first, *self.weights[1:]), (bias, *self.biases[1:]))
