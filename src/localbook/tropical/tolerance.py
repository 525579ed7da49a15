"""What the geometry takes for zero, and the form in which it takes its numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats, floats
from localbook.errors import GeometryError


@dataclass(frozen=True)
class Tolerance:
    """The thresholds of all float64 geometry here; every one is relative, so units do not matter.

    Attributes
    ----------
    zero : float
        A generator at most this times the longest one is no generator.
    parallel : float
        Two directions with at most this angle (radians) between them are one. A multiple of a
        vector differs from it by about 3e-16, while the closest two of a million random
        directions are about 3e-12 apart.
    flat : float
        d unit vectors with at most this determinant lie in one hyperplane.
    coplanar : float
        Unit vectors of R^4 and up that are at most this far from a hyperplane lie in it.
    doubtful : float
        Determinants between ``certain`` and this are neither clearly zero nor clearly not: such
        decisions may contradict one another, and a slower way that does not mind is taken.
    certain : float
        Determinants below this are as good as exactly zero.
    unsure : float
        Up to this many times what is taken for zero, a determinant is neither clearly zero nor not.
    wide : float
        Volume of a subset from which a determinant of noise is told from a small one.
    contact : float
        Points at most this times the size of the figure apart are one point, and a point so near
        to a face lies on it.
    collinear : float
        Three points lie on one line if their triangle's height is at most this times its base.
    apart : float
        Crossings of folds this near to one another, in parts of half a side, and slopes and leads
        so small beside the largest are left to a way that minds no special position. What is
        sought within a distance is sought so much farther.
    snap : float
        A fold never moves by more than this share of a cell to pass through a corner.
    thin : float
        Cells thinner than this part of half a side are not seen: what a linear program takes for
        zero, with room.
    nearest : float
        A nearest point is found when a step would gain less than this times the size of the set.
    inactive : float
        A neuron at most this times the size of its terms above zero is off: 4 units of rounding.
    rounding : float
        Values within this times the size of their terms are zero where cells are cut: 64 units of
        rounding.
    alike : float
        Two neurons do equally much if their generators' lengths differ by at most this share.
    settled : float
        An alternation ends when it lowers its objective by less than this times the first value.
    bound : float
        A perturbation of inputs from 0 to 1 keeps a bound that it exceeds by at most this, which
        is rounding of float32.
    read, read_single : float
        A network is read rightly if its scores differ from the model's by at most this times the
        largest one; the second is for files, which compute in float32.
    """

    zero: float = 1e-14
    parallel: float = 1e-14
    flat: float = 1e-12
    coplanar: float = 1e-13
    doubtful: float = 1e-9
    certain: float = 1e-14
    unsure: float = 1e3
    wide: float = 1e-3
    contact: float = 1e-12
    collinear: float = 1e-10
    apart: float = 1e-9
    snap: float = 2.0**-20
    thin: float = 1e-6
    nearest: float = 1e-15
    inactive: float = 2.0**-50
    rounding: float = 2.0**-46
    alike: float = 1e-12
    settled: float = 1e-12
    bound: float = 1e-6
    read: float = 1e-9
    read_single: float = 1e-4


TOLERANCE = Tolerance()


def finite(value: ArrayLike, name: str, shape: tuple[int | None, ...]) -> Floats:
    """Return a read-only float64 copy of ``value``, refused unless finite and of this shape.

    None in the shape stands for any length; ``name`` is what the error calls it.
    """
    try:
        array = np.array(floats(value), order="C")
    except (TypeError, ValueError) as error:
        raise GeometryError(f"{name} must be an array of real numbers ({error}).") from error
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        words = ", ".join("any" if n is None else str(n) for n in shape)
        raise GeometryError(f"{name} must have shape ({words}), not {array.shape}.")
    if not np.isfinite(array).all():
        raise GeometryError(f"{name} must be finite; remove the NaN or infinite entries.")
    array.flags.writeable = False
    return array
