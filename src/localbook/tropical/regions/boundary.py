"""The exact decision boundary of a ReLU network of two inputs."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from localbook.arrays import Box, Floats, Indices
from localbook.errors import ConfigError
from localbook.tropical.networks import ReLUNetwork, as_network, window
from localbook.tropical.regions.cells import layers_of
from localbook.tropical.regions.lines import ties_by_lines
from localbook.tropical.regions.ties import Ties, ties_on_square
from localbook.tropical.regions.wide import ties_by_tiles

if TYPE_CHECKING:
    from torch import nn


WIDE = 512
"""Deep networks with more hidden neurons than this are cut into tiles first."""


@dataclass(frozen=True)
class DecisionBoundary:
    """Where the two highest class scores tie.

    Attributes
    ----------
    segments : ndarray (m, 2, 2)
        Both ends (x, y) of every segment; each lies in one linear region.
    classes : ndarray (m, 2)
        The two classes, smaller first, that tie on the segment.
    tied : tuple of ndarray (k, 2)
        Polygons all over which two classes tie for the top, as where all neurons are dead, or where
        two classes of the same output weights and bias are ahead: the boundary is two-dimensional
        there.
    tied_classes : ndarray (len(tied), 2)
    """

    segments: Floats
    classes: Indices
    tied: tuple[Floats, ...]
    tied_classes: Indices


def decision_boundary(
    model: "ReLUNetwork | nn.Module", box: Box, *, level: float = 0.0
) -> DecisionBoundary:
    """Return the decision boundary of a network of two inputs in a box.

    With one output it is a level set: class 0 is the output, class 1 the level.

    Exact up to rounding, without grid or sampling: the box is cut along neurons' folds, layer by
    layer, keeping only the cells in which bounds on the scores leave two classes in play; where the
    scores are affine, their ties are segments. Wide networks, such as convolutional ones on a plane
    through three images, are first cut into tiles on which few neurons change sign, and there the
    boundary is followed from side to side; segments then also end where tiles do.

    Parameters
    ----------
    model : ReLUNetwork or nn.Module
        With two inputs; see :func:`from_torch` for the modules, :func:`plane_through` for two-
        dimensional slices of more inputs, and :func:`decision_pieces` for one input or three.
    box : ((x0, x1), (y0, y1))
    level : float
        For networks with one output.

    Returns
    -------
    DecisionBoundary

    Raises
    ------
    ConfigError
        If the model cannot be converted or does not take two inputs, or a level is given for
        several outputs.
    GeometryError
        If the box has no area.

    Examples
    --------
    >>> import numpy as np
    >>> from localbook import tropical
    >>> fold = np.array([[1.0, 1.0], [1.0, -1.0]])
    >>> net = tropical.ReLUNetwork((fold, np.eye(2)), (np.zeros(2), np.zeros(2)))
    >>> boundary = tropical.decision_boundary(net, ((-1, 1), (-1, 1)))
    >>> boundary.segments.shape
    (3, 2, 2)
    """
    view, network = window(box, as_network(model))
    network = comparable(network, level)
    found = _ties(network)
    return DecisionBoundary(
        segments=np.ascontiguousarray(view.place(found.ends).transpose(2, 1, 0)),
        classes=found.classes,
        tied=tuple(view.place(area).T for area in found.areas),
        tied_classes=found.area_classes,
    )


def _ties(network: ReLUNetwork) -> Ties:
    if _wide(network):
        return ties_by_tiles(network)
    layers = layers_of(network)
    found = ties_by_lines(*layers) if len(layers) == network.classes == 2 else None
    return found or ties_on_square(layers)


def _wide(network: ReLUNetwork) -> bool:
    """Tell whether tiles pay: with one hidden layer all folds are lines, which are fast to cut."""
    return len(network.slopes) > 1 and network.neurons > WIDE


def comparable(network: ReLUNetwork, level: float) -> ReLUNetwork:
    """Return a network with the same ties, one output beside the level it is compared with.

    The mean class score is subtracted from all: what all classes share is gone.
    """
    weight, bias = np.asarray(network.weights[-1]), network.biases[-1]
    if len(bias) == 1:
        weight, bias = np.vstack([weight, 0 * weight]), np.append(bias, level)
    elif level:
        raise ConfigError(f"a network with {len(bias)} outputs has no level: leave it out.")
    weight = np.where(np.ptp(weight, axis=0) == 0, 0, weight - weight.mean(axis=0))
    return replace(
        network,
        weights=(*network.weights[:-1], weight),
        biases=(*network.biases[:-1], bias - bias.mean()),
    )
