"""The exact decision boundary of a network of one, two, three or more inputs, piece by piece."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats, Indices
from localbook.tropical.networks import ReLUNetwork, as_network
from localbook.tropical.points import same_points
from localbook.tropical.regions.boundary import comparable
from localbook.tropical.regions.cells import Layer
from localbook.tropical.regions.polytopes import (
    AffineCell,
    Cube,
    Polytope,
    cells_of_cube,
    cube_of,
)
from localbook.tropical.tolerance import TOLERANCE

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class DecisionPieces:
    """Where the two highest class scores tie.

    Attributes
    ----------
    pieces : tuple of float arrays, shape (k, n)
        The corners of each: one point for one input, both ends of a segment for two, a polygon's
        corners in order for three; each lies in one linear region.
    classes : int array, shape (len(pieces), 2)
        The two classes, smaller first, that tie on the piece.
    tied : tuple of float arrays, shape (k, n)
        The corners of regions all over which two classes tie for the top.
    tied_classes : int array, shape (len(tied), 2)
    """

    pieces: tuple[Floats, ...]
    classes: Indices
    tied: tuple[Floats, ...]
    tied_classes: Indices


def decision_pieces(
    model: "ReLUNetwork | nn.Module", box: ArrayLike, *, level: float = 0.0
) -> DecisionPieces:
    """Return the decision boundary of a network of up to ten inputs in a box, as polytopes.

    Exact up to rounding. The box is cut into linear regions, leaving out cells in which bounds on
    the scores show one class ahead; for two inputs, :func:`decision_boundary` is much faster.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
        Of any depth. With one output its level set is returned: class 0 is the output, class 1 the
        level.
    box : array_like, shape (n, 2)
        The least and the greatest value of each input.
    level : float
        For networks with one output.

    Raises
    ------
    ConfigError
        If the model cannot be converted, or a level is given for several outputs.
    GeometryError
        If the box is empty or there are more than ten inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> octahedron = np.vstack([np.eye(3), -np.eye(3)])
    >>> net = tropical.ReLUNetwork((octahedron, np.ones((1, 6))), (np.zeros(6), np.zeros(1)))
    >>> found = tropical.decision_pieces(net, [(-2, 2)] * 3, level=1.0)
    >>> len(found.pieces), found.pieces[0].shape
    (8, (3, 3))
    """
    cube, network = cube_of(box, comparable(as_network(model), level))
    n = network.inputs
    found: list[tuple[Floats, tuple[int, int]]] = []
    tied: list[tuple[Floats, tuple[int, int]]] = []
    for cell in cells_of_cube(network, _undecided):
        for i, j in combinations(range(network.classes), 2):
            ahead = _lead(cell, i, j, cell.polytope)
            flat = not ahead.any()
            if ahead.min() > 0 or ahead.max() < 0:
                continue
            part = cell.polytope if flat else cell.polytope.level(ahead)
            for k in set(range(network.classes)) - {i, j}:
                part = part.above(_lead(cell, i, k, part))
            if _dimension(part.vertices) == n - 1 + flat:
                (tied if flat else found).append((part.vertices, (i, j)))
    once = _once(found, n)
    return DecisionPieces(
        tuple(_placed(vertices, cube) for vertices, _ in once),
        np.array([pair for _, pair in once], dtype=np.intp).reshape(-1, 2),
        tuple(cube.place(vertices) for vertices, _ in tied),
        np.array([pair for _, pair in tied], dtype=np.intp).reshape(-1, 2),
    )


def _undecided(cell: AffineCell, rest: Sequence[Layer]) -> bool:
    """Tell whether two classes can tie for the top, with the bounds of ``ties`` on later layers."""
    slopes, intercepts, sizes = cell.slopes, cell.intercepts, cell.sizes
    spread, corners = np.zeros(len(sizes)), cell.polytope.vertices.T
    for weight, (bias, size), below in rest:
        values = slopes @ corners + intercepts[:, None]
        low = np.minimum(values.min(axis=1) - spread, 0)
        high = np.maximum(values.max(axis=1) + spread, 0)
        chord = np.divide(high, high - low, out=np.zeros_like(high), where=high > 0)
        slope, half = below + (1 - below) * chord, (1 - below) * -chord * low / 2
        slopes = weight @ (slope[:, None] * slopes)
        intercepts = weight @ (slope * intercepts + half) + bias
        spread = np.abs(weight) @ (np.abs(slope) * spread + np.abs(half))
        sizes = np.abs(weight) @ sizes + size
    values = slopes @ corners + intercepts[:, None]
    top = int(values.sum(axis=1).argmax())
    slack = spread + TOLERANCE.rounding * sizes
    ahead = (values[top] - values).min(axis=1) > slack + slack[top]
    ahead[top] = True
    return not ahead.all()


def _lead(cell: AffineCell, i: int, k: int, part: Polytope) -> Floats:
    """Return f_i - f_k at the vertices of a part of a cell (v,), 0 where rounding hides it."""
    lead: Floats = part.vertices @ (cell.slopes[i] - cell.slopes[k])
    lead += cell.intercepts[i] - cell.intercepts[k]
    lead[np.abs(lead) <= TOLERANCE.rounding * (cell.sizes[i] + cell.sizes[k])] = 0
    return lead


def _dimension(vertices: Floats) -> int:
    """Return the dimension of a hull of points of size 1, -1 if there are none."""
    if not len(vertices):
        return -1
    centred = vertices - vertices.mean(axis=0)
    return int((np.linalg.svd(centred, compute_uv=False) > TOLERANCE.contact).sum())


def _once(
    found: list[tuple[Floats, tuple[int, int]]], n: int
) -> list[tuple[Floats, tuple[int, int]]]:
    """Drop pieces that two neighbours report, being sides of both."""
    means = np.reshape([vertices.mean(axis=0) for vertices, _ in found], (-1, n))
    label = same_points(means, TOLERANCE.contact)
    return list({(int(k), part[1]): part for k, part in zip(label, found, strict=True)}.values())


def _placed(vertices: Floats, cube: Cube) -> Floats:
    """Return vertices of the cube in the box, those of a polygon in R^3 in order."""
    points = cube.place(vertices)
    if points.shape[1] != 3:
        return points
    centred = points - points.mean(axis=0)
    x, y = np.linalg.svd(centred, full_matrices=False)[2][:2] @ centred.T
    ordered: Floats = points[np.argsort(np.arctan2(y, x))]
    return ordered
