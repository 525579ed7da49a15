"""The linear regions of a network of any number of inputs, as polytopes cut one by one.

A cell is cut along one neuron's fold, then each half along one that is left in it, and so on until
no neuron of the layer changes its sign, then along those of the next layer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats, Masks
from localbook.errors import GeometryError
from localbook.tropical.networks import ReLUNetwork
from localbook.tropical.regions.cells import Layer, layers_of
from localbook.tropical.tolerance import TOLERANCE, finite

MOST_INPUTS = 10
"""A box in more dimensions has too many corners."""


@dataclass(frozen=True)
class Polytope:
    """A convex polytope, of full dimension or not.

    Attributes
    ----------
    vertices : float array, shape (v, n)
    on : bool array, shape (v, m)
        Which of the m hyperplanes around it each vertex lies on.
    """

    vertices: Floats
    on: Masks

    def level(self, value: Floats) -> "Polytope":
        """Return the part where an affine function, given at the vertices (v,), is zero.

        An edge that crosses has a new vertex: two vertices are on one edge if no third is on all
        hyperplanes that both are on.
        """
        above, below = np.flatnonzero(value > 0), np.flatnonzero(value < 0)
        common = self.on[above].astype(np.intp) @ self.on[below].T
        dimension = np.linalg.matrix_rank(self.vertices - self.vertices[0])
        i, j = np.nonzero(common >= dimension - 1)
        both = self.on[above[i]] & self.on[below[j]]  # (pairs, m)
        edges = (both.astype(np.intp) @ ~self.on.T == 0).sum(axis=1) == 2
        p, q, both = above[i[edges]], below[j[edges]], both[edges]
        share = value[p] / (value[p] - value[q])
        new = self.vertices[p] + share[:, None] * (self.vertices[q] - self.vertices[p])
        zero = value == 0
        on = np.vstack([self.on[zero], both])
        wall = np.pad(on, ((0, 0), (0, 1)), constant_values=True)
        return Polytope(np.vstack([self.vertices[zero], new]), wall)

    def above(self, value: Floats, level: "Polytope | None" = None) -> "Polytope":
        """Return the part where an affine function, given at the vertices (v,), is >= 0."""
        if (value >= 0).all():
            return self
        wall = level or self.level(value)
        kept = value > 0
        own = np.pad(self.on[kept], ((0, 0), (0, 1)))
        return Polytope(np.vstack([self.vertices[kept], wall.vertices]), np.vstack([own, wall.on]))


@dataclass(frozen=True)
class AffineCell:
    """A polytope, and the affine functions slopes @ x + intercepts of a layer on it."""

    polytope: Polytope
    slopes: Floats  # (k, n)
    intercepts: Floats  # (k,)
    sizes: Floats  # (k,) of all terms that were added up, which bound the rounding

    def values(self) -> Floats:
        """Return the functions at the vertices (k, v), zero where rounding hides their sign."""
        values = self.slopes @ self.polytope.vertices.T + self.intercepts[:, None]
        values[np.abs(values) <= TOLERANCE.rounding * self.sizes[:, None]] = 0
        return values


@dataclass(frozen=True)
class Cube:
    """A box of R^n and the map u -> centre + half u from the cube [-1, 1]^n onto it."""

    centre: Floats  # (n,)
    half: Floats  # (n,)

    def place(self, points: Floats) -> Floats:
        """Return points of the cube (k, n) as points of the box."""
        return self.centre + self.half * points


Keep = Callable[[AffineCell, Sequence[Layer]], bool]
"""Says whether a cell is worth cutting, given it and the layers after its own."""


def cube_of(box: ArrayLike, network: ReLUNetwork) -> tuple[Cube, ReLUNetwork]:
    """Check a box and return it with the network seen from the cube [-1, 1]^n."""
    low, high = finite(box, "the box", (network.inputs, 2)).T
    if not (low < high).all():
        raise GeometryError("the box is empty; give (least, greatest) for each input.")
    cube = Cube((low + high) / 2, (high - low) / 2)
    return cube, network.after(np.diag(cube.half), cube.centre)


def cells_of_cube(network: ReLUNetwork, keep: Keep | None = None) -> Iterator[AffineCell]:
    """Yield the regions of [-1, 1]^n that are worth keeping, each with the network's outputs."""
    n = network.inputs
    if n > MOST_INPUTS:
        raise GeometryError(
            f"a box of {n} dimensions has 2^{n} corners: exact regions are for up to "
            f"{MOST_INPUTS} inputs; restrict the network to a plane, or see estimate_regions()."
        )
    corners = np.array(list(product((-1.0, 1.0), repeat=n)))
    cube = Polytope(corners, np.hstack([corners < 0, corners > 0]))
    layers = layers_of(network)
    weight, (bias, size), _ = layers[0]
    stack = [(AffineCell(cube, weight, bias, np.abs(weight).sum(axis=1) + size), 1)]
    while stack:
        cell, depth = stack.pop()
        if keep is not None and not keep(cell, layers[depth:]):
            continue
        if depth == len(layers):
            yield cell
            continue
        value = cell.values()
        low, high = value.min(axis=1), value.max(axis=1)
        spread = np.minimum(high, -low) * (layers[depth].slopes != 1)
        fold = int((spread / np.linalg.norm(cell.slopes, axis=1).clip(TOLERANCE.zero)).argmax())
        if spread[fold] > 0:
            level = cell.polytope.level(value[fold])
            for sign in (1, -1):
                half = cell.polytope.above(sign * value[fold], level)
                stack.append((replace(cell, polytope=half), depth))
        else:
            following, (bias, size), slopes = layers[depth]
            active = following * np.where(high > 0, 1, slopes)
            stack.append(
                (
                    AffineCell(
                        cell.polytope,
                        active @ cell.slopes,
                        active @ cell.intercepts + bias,
                        np.abs(active) @ cell.sizes + size,
                    ),
                    depth + 1,
                )
            )
