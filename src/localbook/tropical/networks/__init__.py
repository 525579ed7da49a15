"""Networks."""

from localbook.arrays import Box as Box
from localbook.tropical.networks.blocks import BlockMatrix as BlockMatrix
from localbook.tropical.networks.blocks import Matrix as Matrix
from localbook.tropical.networks.blocks import backward as backward
from localbook.tropical.networks.blocks import columns as columns
from localbook.tropical.networks.blocks import product as product
from localbook.tropical.networks.blocks import transposed as transposed
from localbook.tropical.networks.from_onnx import from_onnx as from_onnx
from localbook.tropical.networks.from_torch import as_network as as_network
from localbook.tropical.networks.from_torch import from_torch as from_torch
from localbook.tropical.networks.network import ReLUNetwork as ReLUNetwork
from localbook.tropical.networks.network import check_layers as check_layers
from localbook.tropical.networks.plane import Plane as Plane
from localbook.tropical.networks.plane import Window as Window
from localbook.tropical.networks.plane import plane_through as plane_through
from localbook.tropical.networks.plane import window as window
