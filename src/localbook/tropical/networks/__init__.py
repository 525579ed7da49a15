"""Networks."""

from localbook.arrays import Box
from localbook.tropical.networks.from_torch import as_network, from_torch
from localbook.tropical.networks.network import AffineLayer, ReLUNetwork
from localbook.tropical.networks.plane import Plane, plane_through, window

__all__ = [
    "AffineLayer",
    "Box",
    "Plane",
    "ReLUNetwork",
    "as_network",
    "from_torch",
    "plane_through",
    "window",
]
