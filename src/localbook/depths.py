"""What each depth of a network decides: the exact geometry of its auxiliary heads, on planes.

Modules 1 to l with head l are a ReLU network of their own, so every depth has a boundary of its
own. Here alone the local and the tropical part of the library meet.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import nn

from localbook.arrays import Box, Floats
from localbook.errors import ConfigError
from localbook.fit import seeded
from localbook.local import IsolatedNetwork
from localbook.tropical import Plane, ReLUNetwork, from_torch, linear_regions, plane_through

_MARGIN = 0.25  # how far a slice reaches beyond its three images, in parts of their box


def chain(widths: tuple[int, ...], classes: int, seed: int) -> IsolatedNetwork:
    """Return modules of one linear layer and ReLU each, with linear heads and seeded weights.

    ``widths`` are the inputs, then the neurons of each module.
    """
    with seeded(seed):
        modules = [
            nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.ReLU())
            for inputs, width in pairwise(widths)
        ]
        return IsolatedNetwork(modules, [nn.Linear(width, classes) for width in widths[1:]])


def head_networks(
    net: IsolatedNetwork, input_shape: tuple[int, ...] | None = None
) -> list[ReLUNetwork]:
    """Return modules 1 to l with head l as one network, for every l, in float64.

    Parameters
    ----------
    net : IsolatedNetwork
        In evaluation mode; of layers that :func:`localbook.tropical.from_torch` takes.
    input_shape : tuple of int, optional
        Of one input, where the first layer with weights is not linear.

    Raises
    ------
    ConfigError
        If a layer is neither affine nor ReLU.
    """
    modules = list(net.local_modules)
    return [
        from_torch(nn.Sequential(*modules[:depth], head), input_shape)
        for depth, head in enumerate(net.heads, start=1)
    ]


def disagreement(first: ReLUNetwork, second: ReLUNetwork, box: Box) -> list[Floats]:
    """Return the parts of a box where two heads of one network decide differently.

    Exact, without a grid: on a linear region of the deeper head both score all classes by affine
    functions, so each decision holds on a convex polygon, and those of different classes are
    intersected.

    Parameters
    ----------
    first, second : ReLUNetwork
        Of two inputs; the first is the beginning of the second with a head of its own, as
        :func:`head_networks` returns them.
    box : ((x0, x1), (y0, y1))

    Returns
    -------
    list of float arrays, shape (k, 2)
        Convex polygons that do not overlap, each in one linear region.

    Raises
    ------
    ConfigError
        If the networks do not begin alike.
    GeometryError
        If the box has no area.
    """
    _check_beginning(first, second)
    regions = linear_regions(second, box)
    classes = first.classes
    # A corner and what both heads say there: whatever is affine is carried along when it is cut.
    scores = [first(regions.corners), second(regions.corners)]
    rows = np.hstack([regions.corners, *scores])
    tops = np.stack([score.argmax(axis=1) for score in scores])  # (2, corners)
    least = np.minimum.reduceat(tops, regions.start[:-1], axis=1)
    most = np.maximum.reduceat(tops, regions.start[:-1], axis=1)
    # A class that leads at all corners leads all over: there both heads agree, and no more is done.
    same = (least == most).all(axis=0) & (least[0] == least[1])
    parts = []
    for k in np.flatnonzero(~same):
        polygon = rows[regions.start[k] : regions.start[k + 1]]
        for winner, part in _decided(polygon, slice(2, 2 + classes)):
            for other, piece in _decided(part, slice(2 + classes, None)):
                if other != winner:
                    parts.append(piece[:, :2])
    return parts


def agreement(first: ReLUNetwork, second: ReLUNetwork, box: Box) -> float:
    """Return the share of the box's area where two heads of one network decide alike.

    Parameters are those of :func:`disagreement`.
    """
    (left, right), (low, high) = box
    apart = sum(map(_area, disagreement(first, second, box)))
    return float(1 - apart / ((right - left) * (high - low)))


def _check_beginning(first: ReLUNetwork, second: ReLUNetwork) -> None:
    hidden = len(first.weights) - 1
    alike = hidden < len(second.weights) and all(
        np.array_equal(a, b)
        for mine, other in ((first.weights, second.weights), (first.biases, second.biases))
        for a, b in zip(mine[:hidden], other[:hidden], strict=True)
    )
    if not alike or first.classes != second.classes:
        raise ConfigError(
            "the first network must be the second's beginning with a head of its own; give two of "
            "head_networks(net), the shallower one first."
        )


def _decided(polygon: Floats, scores: slice) -> Iterator[tuple[int, Floats]]:
    """Yield each class that leads somewhere in a convex polygon, and the part where it does."""
    values = polygon[:, scores]
    leader = values.mean(axis=0).argmax()
    # Who is behind the leader at all corners is behind it all over: most classes drop out here.
    classes = [
        k for k in range(values.shape[1]) if k == leader or (values[:, k] > values[:, leader]).any()
    ]
    for winner in classes:
        part = polygon
        for other in classes:
            if other != winner and len(part):
                lead = part[:, scores][:, winner] - part[:, scores][:, other]
                part = _where_positive(part, lead)
        if len(part):
            yield winner, part


def _where_positive(polygon: Floats, value: Floats) -> Floats:
    """Return the part of a convex polygon where an affine function, known at corners, is > 0."""
    if (value > 0).all():
        return polygon
    if (value <= 0).all():
        return polygon[:0]
    following, after = np.roll(polygon, -1, axis=0), np.roll(value, -1)
    rows = []
    for k in range(len(polygon)):
        if value[k] >= 0:
            rows.append(polygon[k])
        if value[k] * after[k] < 0:
            share = value[k] / (value[k] - after[k])
            rows.append(polygon[k] + share * (following[k] - polygon[k]))
    return np.array(rows)


def _area(polygon: Floats) -> float:
    x, y = (polygon - polygon[0]).T
    return float(x @ np.roll(y, -1) - np.roll(x, -1) @ y) / 2


def image_plane(
    images: NDArray[np.float64], labels: NDArray[np.int64], number: int
) -> tuple[Plane, Box]:
    """Return the plane through three images of different classes, and the box around them.

    The images (N, inputs) are drawn from the number alone: the same for all networks.
    """
    rng = np.random.default_rng(number)
    classes = rng.choice(np.unique(labels), 3, replace=False)
    chosen = images[[rng.choice(np.flatnonzero(labels == k)) for k in classes]]
    plane = plane_through(*chosen)
    corners = plane.coordinates(chosen)
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = _MARGIN * (high - low)
    (x0, y0), (x1, y1) = (low - margin).tolist(), (high + margin).tolist()
    return plane, ((x0, x1), (y0, y1))
