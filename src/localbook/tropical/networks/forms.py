"""Affine functions of a network's neurons, and the layers that a graph of them makes.

A network is read as groups of neurons; what each group takes is an affine function, a *form*, of
the groups before it. Layers follow from how deep a group stands; what a later layer takes from an
earlier group is passed through those between by neurons of slope 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from localbook.arrays import Floats, Indices, Masks
from localbook.tropical.networks.blocks import Block, BlockMatrix, Matrix
from localbook.tropical.networks.network import ReLUNetwork

FULL = 0.25
"""Share of numbers to hold above which a matrix is held whole."""

SMALL = 2**14
"""Matrices with fewer entries are not worth taking apart."""

LARGE = 2**20
"""Entries above which a form is not multiplied out, but gets neurons of its own."""


@dataclass(frozen=True)
class Form:
    """The affine function offset + sum of parts[g] @ (values of group g)."""

    parts: dict[int, BlockMatrix]
    offset: Floats

    def __len__(self) -> int:
        return len(self.offset)

    def __add__(self, other: "Form") -> "Form":
        parts = dict(self.parts)
        for group, matrix in other.parts.items():
            parts[group] = added(parts[group], matrix) if group in parts else matrix
        return Form(parts, self.offset + other.offset)

    def scaled(self, factors: Floats | float) -> "Form":
        """Return the form times ``factors`` (k,), row by row."""
        factors = np.broadcast_to(np.float64(factors), len(self))
        parts = {group: scaled(matrix, factors) for group, matrix in self.parts.items()}
        return Form(parts, factors * self.offset)

    def select(self, index: Indices) -> "Form":
        """Return the rows ``index`` (k,); zero where that is -1."""
        parts = {group: selected(matrix, index) for group, matrix in self.parts.items()}
        return Form(parts, np.where(index < 0, 0, self.offset[index]))

    @property
    def entries(self) -> int:
        """How many entries other than zero all parts have."""
        return sum(matrix.entries for matrix in self.parts.values())

    @property
    def group(self) -> int | None:
        """The group of which this is every value, in order; None if it is something else."""
        if len(self.parts) != 1 or self.offset.any():
            return None
        ((group, matrix),) = self.parts.items()
        return group if is_identity(matrix) else None


class Graph:
    """Groups of neurons, each with the form it takes and its slopes below zero.

    Group 0 is the input.
    """

    def __init__(self, inputs: int) -> None:
        self.groups: list[tuple[Form, Floats]] = [(Form({}, np.zeros(inputs)), np.ones(inputs))]

    def values(self, group: int) -> Form:
        """Return the values of a group."""
        count = len(self.groups[group][0])
        return Form({group: identity(count)}, np.zeros(count))

    def neurons(self, form: Form, slopes: Floats | float) -> Form:
        """Return the values of new neurons that take a form."""
        self.groups.append((form, np.broadcast_to(np.float64(slopes), len(form)).copy()))
        return self.values(len(self.groups) - 1)

    def affine(self, matrix: BlockMatrix, offset: Floats, form: Form) -> Form:
        """Return matrix @ form + offset."""
        if form.entries * matrix.entries > LARGE * len(form) and form.group is None:
            form = self.neurons(form, 1.0)
        parts = {group: composed(matrix, part) for group, part in form.parts.items()}
        return Form(parts, matrix.product(form.offset[:, None])[:, 0] + offset)

    def largest(self, form: Form, table: Indices) -> Form:
        """Return the largest of the rows ``table`` (k, m) of a form; -1 stands for none.

        max(a, b) = b + relu(a - b), pair by pair.
        """
        group = form.group
        if group is not None:
            inner, slopes = self.groups[group]
            if 0 <= slopes[0] < 1 and (slopes == slopes[0]).all():  # increasing: it may come last
                return self.neurons(self.largest(inner, table), slopes[0])
        elif form.entries > LARGE:
            form = self.neurons(form, 1.0)
        while table.shape[1] > 1:
            if table.shape[1] % 2:
                table = np.column_stack([table, np.full(len(table), -1)])
            pairs = np.sort(table.reshape(-1, 2), axis=1)[:, ::-1]  # -1 comes second
            known, place = np.unique(pairs, axis=0, return_inverse=True)
            empty = int(known[0, 0] < 0)
            table = (place.ravel() - empty).reshape(len(table), -1)
            first, second = known[empty:].T
            real = second >= 0
            bent = form.select(first[real]) + form.select(second[real]).scaled(-1.0)
            kept = form.select(np.where(real, second, first))
            kinds = np.repeat([0.0, 1.0], [len(bent), len(kept)])
            values = self.neurons(stacked([bent, kept]), kinds)
            form = values.select(len(bent) + np.arange(len(kept)))
            form += values.select(np.where(real, np.cumsum(real) - 1, -1))
        return form.select(table[:, 0])

    def network(self, output: Form) -> ReLUNetwork:
        """Return the layers that compute a form."""
        forms = [form for form, _ in self.groups]
        used = _used(forms, output)
        level = {0: 0}
        for group in used:
            level[group] = 1 + max((level[g] for g in forms[group].parts), default=0)
        last = max((level[g] for g in output.parts), default=0)
        until = dict.fromkeys(output.parts, last)  # the last level at which a value must be there
        for group in used:
            for source in forms[group].parts:
                until[source] = max(until.get(source, 0), level[group] - 1)
        held = [0]
        weights, biases, slopes = [], [], []
        for depth in range(1, last + 1):
            new = [g for g in used if level[g] == depth]
            passed = [g for g in held if until.get(g, 0) >= depth]
            layer = stacked([*(forms[g] for g in new), *(self.values(g) for g in passed)])
            weights.append(_matrix(layer, held, self._sizes(held)))
            biases.append(layer.offset)
            slopes.append(
                np.concatenate(
                    [self.groups[g][1] for g in new] + [np.ones(len(forms[g])) for g in passed]
                )
            )
            held = [*new, *passed]
        weights.append(np.asarray(_matrix(output, held, self._sizes(held))))
        return ReLUNetwork(tuple(weights), (*biases, output.offset), tuple(slopes))

    def _sizes(self, groups: Iterable[int]) -> list[int]:
        return [len(self.groups[g][0]) for g in groups]


def _used(forms: list[Form], output: Form) -> list[int]:
    """Return the groups that a form needs, in order, without the input."""
    needed, waiting = {0}, list(output.parts)
    while waiting:
        group = waiting.pop()
        if group not in needed:
            needed.add(group)
            waiting += forms[group].parts
    return sorted(needed - {0})


def stacked(forms: list[Form]) -> Form:
    """Return forms one below the other."""
    if len(forms) == 1:
        return forms[0]
    starts = np.cumsum([0, *map(len, forms)])
    total = int(starts[-1])
    result = Form({}, np.zeros(total))
    for form, start in zip(forms, starts[:-1].tolist(), strict=True):
        parts = {g: _moved(m, (total, m.shape[1]), start, 0) for g, m in form.parts.items()}
        result += Form(parts, np.zeros(total))
    return Form(result.parts, np.concatenate([np.zeros(0), *(form.offset for form in forms)]))


def _matrix(form: Form, held: list[int], sizes: list[int]) -> Matrix:
    """Return a form as one matrix of the values of the groups ``held``."""
    shape = (len(form), sum(sizes))
    starts = dict(zip(held, np.cumsum([0, *sizes]).tolist(), strict=False))
    whole = BlockMatrix(shape, (), sparse.csr_array(shape))
    for group, matrix in form.parts.items():
        whole = added(whole, _moved(matrix, shape, 0, starts[group]))
    size = shape[0] * shape[1]
    return np.asarray(whole) if size <= SMALL or whole.stored > FULL * size else whole


def _moved(matrix: BlockMatrix, shape: tuple[int, int], row: int, column: int) -> BlockMatrix:
    """Return the matrix as a part of a larger one."""
    rest = matrix.rest.tocoo()
    rows, columns = rest.coords
    return BlockMatrix(
        shape,
        tuple(Block(b.rows + row, b.columns + column, b.weight) for b in matrix.blocks),
        sparse.csr_array((rest.data, (rows + row, columns + column)), shape=shape),
    )


def of_sparse(matrix: Any) -> BlockMatrix:
    """Return a sparse matrix as a BlockMatrix without blocks."""
    return BlockMatrix(matrix.shape, (), sparse.csr_array(matrix))


def identity(count: int) -> BlockMatrix:
    """Return the identity."""
    return of_sparse(sparse.eye_array(count, format="csr"))


def of_blocks(shape: tuple[int, int], blocks: list[Block]) -> BlockMatrix:
    """Return blocks as a matrix; those of one row or column have nothing to share: sparse."""
    whole = BlockMatrix(shape, tuple(blocks), sparse.csr_array(shape))
    thin = min((min(b.weight.shape) for b in blocks), default=0) < 2
    return of_sparse(whole.sparse()) if thin else whole


def is_identity(matrix: BlockMatrix) -> bool:
    """Tell whether a matrix is the identity."""
    rest, count = matrix.rest, len(matrix)
    return bool(
        not matrix.blocks
        and rest.shape[1] == rest.nnz == count
        and (rest.indices == np.arange(count)).all()
        and (rest.indptr == np.arange(count + 1)).all()
        and (rest.data == 1).all()
    )


def added(a: BlockMatrix, b: BlockMatrix) -> BlockMatrix:
    """Return the sum."""
    return BlockMatrix(a.shape, (*a.blocks, *b.blocks), a.rest + b.rest)


def scaled(matrix: BlockMatrix, factors: Floats) -> BlockMatrix:
    """Return the matrix with its rows times ``factors`` (k,)."""
    each = [factors[block.rows] for block in matrix.blocks]
    if not all((f == f[:, :1]).all() for f in each):
        return scaled(of_sparse(matrix.sparse()), factors)
    blocks = [
        Block(b.rows, b.columns, b.weight * f[:, :1])
        for b, f in zip(matrix.blocks, each, strict=True)
    ]
    rest = sparse.csr_array(sparse.diags_array(factors) @ matrix.rest)
    return BlockMatrix(matrix.shape, tuple(blocks), rest)


def selected(matrix: BlockMatrix, index: Indices) -> BlockMatrix:
    """Return the rows ``index`` (k,) of a matrix; zero where that is -1."""
    if len(index) == len(matrix) and (index == np.arange(len(index))).all():
        return matrix
    there = np.flatnonzero(index >= 0)
    place = np.full(len(matrix), -1)
    place[index[there]] = there
    shape = (len(index), matrix.shape[1])
    once = np.count_nonzero(place >= 0) == len(there)
    whole: Masks = np.array([(place[block.rows] >= 0).all() for block in matrix.blocks], np.bool_)
    if not (once and whole.all()) and matrix.blocks:
        return selected(of_sparse(matrix.sparse()), index)
    choice = sparse.csr_array(
        (np.ones(len(there)), (there, index[there])), shape=(len(index), len(matrix))
    )
    blocks = tuple(Block(place[b.rows], b.columns, b.weight) for b in matrix.blocks)
    return BlockMatrix(shape, blocks, sparse.csr_array(choice @ matrix.rest))


def composed(a: BlockMatrix, b: BlockMatrix) -> BlockMatrix:
    """Return a @ b."""
    if is_identity(b):
        return a
    if is_identity(a):
        return b
    full = all(m.entries > FULL * m.shape[0] * m.shape[1] for m in (a, b))
    if full:
        return of_dense(np.asarray(a) @ np.asarray(b))
    return of_sparse(a.sparse() @ b.sparse())


def of_dense(matrix: Floats) -> BlockMatrix:
    """Return a full matrix as one block."""
    rows, columns = (np.arange(count)[:, None] for count in matrix.shape)
    return of_blocks(matrix.shape, [Block(rows, columns, matrix)])
