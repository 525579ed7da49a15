"""Two-dimensional slices of input space, and the boxes in them that are looked at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Box, Floats
from localbook.errors import ConfigError, GeometryError
from localbook.tropical.networks.network import ReLUNetwork
from localbook.tropical.tolerance import TOLERANCE


@dataclass(frozen=True)
class Plane:
    """The plane origin + u axes[0] + v axes[1] in R^n.

    Attributes
    ----------
    origin : ndarray (n,)
    axes : ndarray (2, n)
        Orthonormal, so that lengths in the plane are lengths in R^n.
    """

    origin: Floats
    axes: Floats

    def lift(self, points: ArrayLike) -> Floats:
        """Return the points of R^n (..., n) with plane coordinates ``points`` (..., 2)."""
        return self.origin + np.asarray(points, dtype=np.float64) @ self.axes

    def coordinates(self, points: ArrayLike) -> Floats:
        """Return the plane coordinates (..., 2) of the projections of ``points`` (..., n)."""
        return (np.asarray(points, dtype=np.float64) - self.origin) @ self.axes.T

    def restrict(self, network: ReLUNetwork) -> ReLUNetwork:
        """Return the network of two inputs that ``network`` is on this plane.

        Raises
        ------
        ConfigError
            If it is no :class:`ReLUNetwork`, or does not take points of R^n.
        """
        if not isinstance(network, ReLUNetwork):
            raise ConfigError(
                f"restrict needs a ReLUNetwork, not {type(network).__name__}: read it first, as in "
                "plane.restrict(from_torch(model, input_shape))."
            )
        if network.inputs != len(self.origin):
            raise ConfigError(
                f"the network takes {network.inputs} inputs but the plane lies in "
                f"{len(self.origin)} dimensions: give points of the network's input space."
            )
        return network.after(self.axes.T, self.origin)


def plane_through(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Plane:
    """Return the plane through three points, such as three images.

    Parameters
    ----------
    a, b, c : array_like
        Points of R^n of any shape with n numbers. ``a`` becomes the origin and ``b`` lies on the
        first axis.

    Raises
    ------
    ConfigError
        If the points are not finite or of different sizes.
    GeometryError
        If the points are collinear, up to the rounding of the numbers they are given in.
    """
    given = [np.asarray(point) for point in (a, b, c)]
    p, q, r = (point.astype(np.float64).ravel() for point in given)
    if not len(p) == len(q) == len(r) or len(p) < 2:
        raise ConfigError(
            f"points with {len(p)}, {len(q)} and {len(r)} numbers: "
            "give three points of one space of at least two dimensions."
        )
    if not np.isfinite([p, q, r]).all():
        raise ConfigError("a point of the slice is not finite: give three points without NaN.")
    first, second = q - p, r - p
    base = np.linalg.norm(first)
    if base > 0:
        first /= base
        second -= (second @ first) * first
        second -= (second @ first) * first  # twice: once leaves rounding behind
    height = np.linalg.norm(second)
    # Rounded are the points, not their differences, and in single precision by far more.
    unit = max(float(np.finfo(x.dtype).eps) if x.dtype.kind == "f" else 0.0 for x in given)
    noise = 4 * unit * np.sqrt(len(p)) * np.abs([p, q, r]).max()
    if base <= noise or height <= max(
        noise, TOLERANCE.collinear * max(base, np.linalg.norm(r - p))
    ):
        raise GeometryError(
            "the three points of the slice are collinear (or two coincide): "
            "choose points that span a plane."
        )
    return Plane(p, np.stack([first, second / height]))


@dataclass(frozen=True)
class Window:
    """A box of the plane and the affine map from the square [-1, 1]^2 onto it.

    Attributes
    ----------
    centre, half : ndarray (2,)
    """

    centre: Floats
    half: Floats

    def place(self, points: Floats) -> Floats:
        """Return points of the square (2, ...) as points of the box (2, ...)."""
        shape = (2,) + (1,) * (points.ndim - 1)
        return self.centre.reshape(shape) + self.half.reshape(shape) * points


def window(box: Box, network: ReLUNetwork) -> tuple[Window, ReLUNetwork]:
    """Check a box, finite and with an area, and return it with the network seen from [-1, 1]^2."""
    sides = np.asarray(box, dtype=np.float64)
    if sides.shape != (2, 2) or not np.isfinite(sides).all():
        raise ConfigError(f"the box {box} must be ((x0, x1), (y0, y1)) with finite numbers.")
    low, high = sides.T
    if not (low < high).all():
        raise GeometryError(f"the box {box} has no area: give x0 < x1 and y0 < y1.")
    if network.inputs < 2:
        raise ConfigError(
            "the network takes one input: pictures need two, so add one that it does not use, as "
            "in network.after([[1, 0]], [0]), or take decision_pieces."
        )
    if network.inputs > 2:
        raise ConfigError(
            f"the network takes {network.inputs} inputs: pictures need two, so restrict it to a "
            "plane first, as in plane_through(a, b, c).restrict(network), or take decision_pieces "
            "for three inputs."
        )
    view = Window((low + high) / 2, (high - low) / 2)
    return view, network.after(np.diag(view.half), view.centre)
