"""Matrices that are mostly zeros, as a convolution's: the same few weights at many places."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from localbook.arrays import Floats, Indices

AT_ONCE = 2**21
"""Numbers that are gathered for one product: few enough to stay small in memory."""


SPARSE = 2**20
"""Matrices of so many entries or fewer are kept as sparse ones, too."""


@dataclass(frozen=True)
class Block:
    """One small matrix, used at many places: a convolution's kernel."""

    rows: Indices  # (r, places)
    columns: Indices  # (c, places)
    weight: Floats  # (r, c)

    @cached_property
    def transposed(self) -> "Block":
        """The block of the transposed matrix."""
        return Block(self.columns, self.rows, self.weight.T)

    @cached_property
    def _overlap(self) -> bool:
        return len(np.unique(self.rows)) < self.rows.size

    def add_product(self, columns: Floats, out: Floats) -> None:
        """Add the block times ``columns`` (width, m) to ``out`` (k, m)."""
        places, many = self.columns.shape[1], columns.shape[1]
        step = max(1, AT_ONCE // max(1, max(self.weight.shape) * many))
        for k in range(0, places, step):
            here = slice(k, k + step)
            taken = columns[self.columns[:, here]]  # (c, some places, m)
            product = np.tensordot(self.weight, taken, axes=1)
            if self._overlap:  # rows that differ at one place are the same at another
                for p in range(product.shape[1]):
                    out[self.rows[:, k + p]] += product[:, p]
            else:
                out[self.rows[:, here]] += product


@dataclass(frozen=True)
class BlockMatrix:
    """A matrix that is the sum of blocks and of a sparse one.

    Attributes
    ----------
    shape : (k, width)
    blocks : tuple of Block
    rest : scipy.sparse.csr_array (k, width)
    """

    shape: tuple[int, int]
    blocks: tuple[Block, ...]
    rest: Any

    def product(self, columns: Floats) -> Floats:
        """Return the matrix times ``columns`` (width, m)."""
        out: Floats = self.rest @ columns
        for block in self.blocks:
            block.add_product(columns, out)
        return out

    def __abs__(self) -> "BlockMatrix":
        """Return a matrix of no negative entry that is nowhere less than |self|."""
        blocks = tuple(Block(b.rows, b.columns, np.abs(b.weight)) for b in self.blocks)
        return BlockMatrix(self.shape, blocks, abs(self.rest))

    @cached_property
    def transposed(self) -> "BlockMatrix":
        """The transposed matrix; nothing is copied but indices."""
        blocks = tuple(block.transposed for block in self.blocks)
        return BlockMatrix(self.shape[::-1], blocks, self.rest.T.tocsr())

    def sparse(self) -> Any:
        """Return the matrix as a scipy.sparse.csr_array."""
        from scipy import sparse

        parts = [self.rest.tocoo()]
        for block in self.blocks:
            shape = (*block.weight.shape, block.rows.shape[1])
            rows = np.broadcast_to(block.rows[:, None], shape).ravel()
            columns = np.broadcast_to(block.columns[None], shape).ravel()
            values = np.broadcast_to(block.weight[..., None], shape).ravel()
            parts.append(sparse.coo_array((values, (rows, columns)), shape=self.shape))
        rows, columns = (np.concatenate([p.coords[k] for p in parts]) for k in (0, 1))
        values = np.concatenate([p.data for p in parts])
        return sparse.csr_array((values, (rows, columns)), shape=self.shape)

    @cached_property
    def _by_column(self) -> Any:
        """The transposed matrix by rows, as a sparse one."""
        return self.sparse().T.tocsr()

    def columns(self, index: Indices) -> Floats:
        """Return some columns as an array (k, len(index))."""
        if self.entries <= SPARSE:
            few: Floats = self._by_column[index].T.toarray(order="C")
            return few
        different, place = np.unique(index, return_inverse=True)
        out: Floats = self.rest[:, different].toarray()
        number = np.full(self.shape[1], -1)
        number[different] = np.arange(len(different))
        for block in self.blocks:
            column, at = np.nonzero(number[block.columns] >= 0)
            slot = number[block.columns[column, at]]
            np.add.at(out, (block.rows[:, at], slot), block.weight[:, column])
        return out[:, place]

    def astype(self, kind: DTypeLike) -> "BlockMatrix":
        """Return a copy in numbers of another kind."""
        blocks = tuple(Block(b.rows, b.columns, b.weight.astype(kind)) for b in self.blocks)
        return BlockMatrix(self.shape, blocks, self.rest.astype(kind))

    def back(self, columns: Floats, index: Indices) -> Floats:
        """Return some rows of the transposed matrix times ``columns`` (k, m)."""
        if self.entries <= SPARSE:
            few: Floats = self._by_column[index] @ columns
            return few
        return self.columns(index).T @ columns

    @property
    def entries(self) -> int:
        """How many entries are other than zero."""
        return int(self.rest.nnz + sum(b.weight.size * b.rows.shape[1] for b in self.blocks))

    @property
    def stored(self) -> int:
        """How many numbers are held for them."""
        return int(self.rest.nnz + sum(b.weight.size for b in self.blocks))

    def finite(self) -> bool:
        """Tell whether all entries are."""
        parts = (self.rest.data, *(block.weight for block in self.blocks))
        return all(np.isfinite(part).all() for part in parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.sparse().toarray(), dtype=dtype)


Matrix = Floats | BlockMatrix


def product(weight: Matrix, columns: Floats) -> Floats:
    """Return weight @ columns (k, m), columns (width, m)."""
    return weight.product(columns) if isinstance(weight, BlockMatrix) else weight @ columns


def transposed(weight: Matrix) -> Matrix:
    """Return the transposed matrix (width, k)."""
    return weight.transposed if isinstance(weight, BlockMatrix) else weight.T


def backward(weight: Matrix, columns: Floats, index: Indices | None = None) -> Floats:
    """Return weight.T @ columns (width, m), columns (k, m); if given, only the rows ``index``."""
    if index is None:
        return product(transposed(weight), columns)
    if isinstance(weight, BlockMatrix):
        return weight.back(columns, index)
    return weight[:, index].T @ columns


def columns(weight: Matrix, index: Indices) -> Floats:
    """Return some columns of a matrix as an array (k, len(index))."""
    return weight.columns(index) if isinstance(weight, BlockMatrix) else weight[:, index]
