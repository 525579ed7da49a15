"""One affine layer, and fast products with it where each output uses few of the inputs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from localbook.arrays import Floats, Indices, Masks

SPARSE = 0.25
"""Share of non-zeros above which one product with the whole matrix is fastest."""

SMALL = 2**14
"""Matrices with fewer entries are not worth taking apart."""


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
