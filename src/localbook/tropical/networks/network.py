"""A ReLU network as plain float64 arrays: what every exact computation here starts from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from localbook.arrays import Floats, Indices, Masks
from localbook.errors import ConfigError
from localbook.tropical.tolerance import TOLERANCE

SPARSE = 0.25
"""Share of non-zeros above which one product with the whole matrix is fastest."""

SMALL = 2**14
"""Matrices with fewer entries are not worth taking apart."""

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


@dataclass(frozen=True)
class AffineLayer:
    """The map h -> weight @ h + bias, for many h at once.

    The outputs of a convolution at one place use the same few inputs. Rows of ``weight`` that have
    their non-zeros in the same columns are multiplied together, without the zeros; for a matrix
    that is not sparse this is the ordinary product.

    Attributes
    ----------
    weight : ndarray (k, width)
    bias : ndarray (k,)
    """

    weight: Floats
    bias: Floats

    def product(self, columns: Floats) -> Floats:
        """Return weight @ columns (k, m), columns (width, m)."""
        return _product(self.weight, self.blocks, columns)

    def spread(self, columns: Floats) -> Floats:
        """Return |weight| @ columns (k, m): how errors of the inputs add up."""
        return _product(*self._sizes, columns)

    def backward(self, columns: Floats) -> Floats:
        """Return weight.T @ columns (width, m), columns (k, m)."""
        return _product(*self._transposed, columns)

    @cached_property
    def blocks(self) -> "list[Block]":
        """The non-zeros, in parts that are full; empty if the whole matrix is."""
        return _blocks(self.weight)

    @cached_property
    def _sizes(self) -> "tuple[Floats, list[Block]]":
        sizes = [Block(b.rows, b.columns, np.abs(b.weight)) for b in self.blocks]
        return np.abs(self.weight), sizes

    @cached_property
    def _transposed(self) -> "tuple[Floats, list[Block]]":
        weight = np.ascontiguousarray(self.weight.T)
        return weight, _blocks(weight)


@dataclass(frozen=True)
class Block:
    """All non-zeros of some rows, which lie in the same columns."""

    rows: Indices
    columns: Indices
    weight: Floats


def _blocks(weight: Floats) -> list[Block]:
    """Return blocks with all non-zeros of a sparse matrix; none for one that is not."""
    support: Masks = weight != 0
    if weight.size < SMALL or np.count_nonzero(support) > SPARSE * weight.size:
        return []
    _, kind = np.unique(np.packbits(support, axis=1), axis=0, return_inverse=True)
    kind = kind.ravel()  # numpy 2.0 returns a column
    order = np.argsort(kind, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(kind[order])) + 1)
    found = [(rows, np.flatnonzero(support[rows[0]])) for rows in groups]
    return [Block(rows, columns, weight[np.ix_(rows, columns)]) for rows, columns in found]


def _product(weight: Floats, blocks: list[Block], columns: Floats) -> Floats:
    if not blocks:
        product: Floats = weight @ columns
        return product
    out = np.empty((len(weight), columns.shape[1]))
    for block in blocks:
        out[block.rows] = block.weight @ columns[block.columns]
    return out
