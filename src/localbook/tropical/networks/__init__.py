"""Networks."""

from localbook.arrays import Box
from localbook.tropical.networks.blocks import (
    BlockMatrix,
    Matrix,
    backward,
    columns,
    product,
    transposed,
)
from localbook.tropical.networks.from_onnx import from_onnx
from localbook.tropical.networks.from_torch import as_network, from_torch
from localbook.tropical.networks.network import ReLUNetwork, check_layers
from localbook.tropical.networks.plane import Plane, plane_through, window

__all__ = [
    "BlockMatrix",
    "Box",
    "Matrix",
    "Plane",
    "ReLUNetwork",
    "as_network",
    "backward",
    "check_layers",
    "columns",
    "from_onnx",
    "from_torch",
    "plane_through",
    "product",
    "transposed",
    "window",
]
