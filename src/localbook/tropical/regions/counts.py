"""How many linear regions a network has: exactly where they can be listed, else by sampling."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from localbook.arrays import Floats
from localbook.errors import GeometryError
from localbook.tropical.networks import ReLUNetwork, as_network, product
from localbook.tropical.regions.polytopes import cells_of_cube, cube_of
from localbook.tropical.tolerance import TOLERANCE

if TYPE_CHECKING:
    from torch import nn

MOST_REGIONS = 200_000
"""Listing more takes minutes."""


@dataclass(frozen=True)
class RegionEstimate:
    """An estimate of a number of regions.

    Attributes
    ----------
    value : float
        Unbiased: its mean over all seeds is the number, but for cells thinner than 1e-6 of the box.
    low, high : float
        An interval of about 95 % for the number, from the spread of the samples.
    """

    value: float
    low: float
    high: float


def count_regions(model: "ReLUNetwork | nn.Module", box: ArrayLike) -> int:
    """Count the linear regions of a network of up to ten inputs in a box, exactly.

    The regions are those on which every neuron keeps its sign, as in :func:`linear_regions`.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
    box : array_like, shape (n, 2)
        The least and the greatest value of each input.

    Raises
    ------
    ConfigError
        If the model cannot be converted.
    GeometryError
        If the box is empty, there are more than ten inputs or more than 200,000 regions.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> net = tropical.ReLUNetwork((np.eye(4), np.ones((1, 4))), (np.zeros(4), np.zeros(1)))
    >>> tropical.count_regions(net, [(-1, 1)] * 4)
    16
    """
    _, network = cube_of(box, as_network(model))
    count = 0
    for _ in cells_of_cube(network):
        count += 1
        if count > MOST_REGIONS:
            raise GeometryError(
                f"the network has more than {MOST_REGIONS:,} regions in the box: take a smaller "
                "box, or estimate_regions()."
            )
    return count


def estimate_regions(
    model: "ReLUNetwork | nn.Module", box: ArrayLike, *, samples: int = 200, seed: int = 0
) -> RegionEstimate:
    """Estimate the number of linear regions of a network of any number of inputs in a box.

    Each sample goes through all neurons in turn. Where linear programs say that one changes its
    sign in what is left of the box, a coin decides which half to go on with; after k coins, 2^k is
    an unbiased estimate of the number of regions [1]_. The first coins of all samples together fall
    in all ways equally often. Few samples of a deep network may miss its most crowded corners: the
    interval is then too short.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
    box : array_like, shape (n, 2)
        The least and the greatest value of each input.
    samples : int
        Two or more.
    seed : int

    Raises
    ------
    ConfigError
        If the model cannot be converted.
    GeometryError
        If the box is empty or there are fewer than two samples.

    References
    ----------
    .. [1] D. E. Knuth, "Estimating the efficiency of backtrack programs", 1975.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> net = tropical.ReLUNetwork((np.eye(20), np.ones((1, 20))), (np.zeros(20), np.zeros(1)))
    >>> tropical.estimate_regions(net, [(-1, 1)] * 20, samples=2).value == 2**20
    True
    """
    _, network = cube_of(box, as_network(model))
    if samples < 2:
        raise GeometryError(f"{samples} samples have no spread: take two or more.")
    rng = np.random.default_rng(seed)
    fixed = samples.bit_length() - 1  # coins that fall in all ways, equally often
    ways = (np.arange(samples) + rng.integers(2**fixed)) % 2**fixed
    coins = (ways[:, None] >> np.arange(fixed)) & 1 > 0
    counts = np.array([2.0 ** _coins(network, rng, first.tolist()) for first in coins])
    reach = 1.96 * float(counts.std(ddof=1)) / samples**0.5
    value = float(counts.mean())
    return RegionEstimate(value, max(1.0, value - reach), value + reach)


def _coins(network: ReLUNetwork, rng: np.random.Generator, first: list[bool]) -> int:
    """Return how many coins one way down from [-1, 1]^n to a region takes, the first given."""
    n = network.inputs
    walls, offsets = np.vstack([np.eye(n), -np.eye(n)]), np.ones(2 * n)  # walls @ x <= offsets
    inside = rng.uniform(-1, 1, size=(32, n))  # points known to be in the cell
    slope, shift, coins = np.eye(n), np.zeros(n), 0
    layers = zip(network.weights[:-1], network.biases[:-1], network.slopes, strict=True)
    for weight, bias, below in layers:
        slope, shift = product(weight, slope), product(weight, shift[:, None])[:, 0] + bias
        on = np.zeros(len(bias), dtype=np.bool_)
        for neuron, (a, c) in enumerate(zip(slope, shift, strict=True)):
            length = float(np.linalg.norm(a))
            if length == 0 or below[neuron] == 1:
                on[neuron] = c > 0
                continue
            a, c = a / length, c / length
            top = _extreme(a, c, walls, offsets, inside)
            bottom = _extreme(-a, -c, walls, offsets, inside)
            on[neuron] = top is not None
            if top is None or bottom is None:
                continue
            on[neuron] = first[coins] if coins < len(first) else rng.random() < 0.5
            coins += 1
            sign = 1 if on[neuron] else -1
            walls, offsets = np.vstack([walls, -sign * a]), np.append(offsets, sign * c)
            inside = np.vstack([inside, top, bottom])
            inside = inside[sign * (inside @ a + c) > TOLERANCE.thin]
        gain = np.where(on, 1, below)
        slope, shift = gain[:, None] * slope, gain * shift
    return coins


def _extreme(a: Floats, c: float, walls: Floats, offsets: Floats, inside: Floats) -> Floats | None:
    """Return a point of the cell where a·x + c is clearly positive, None if there is none."""
    heights = inside @ a + c
    if len(inside) and heights.max() > TOLERANCE.thin:
        best: Floats = inside[heights.argmax()]
        return best
    from scipy.optimize import linprog

    found = linprog(-a, walls, offsets, bounds=(None, None)).x
    return found if found is not None and found @ a + c > TOLERANCE.thin else None
