"""Networks: chains of isolated modules with heads, made here or cut from a model of another."""

from localbook.local.networks.adding import add_heads, with_heads
from localbook.local.networks.airbench import airbench, isolated_airbench
from localbook.local.networks.auglocal import with_auglocal_heads
from localbook.local.networks.backbones import BACKBONES, isolated
from localbook.local.networks.blocks import Chain, blocks, in_blocks
from localbook.local.networks.checks import (
    check_batch_norm,
    check_heads,
    check_inputs,
    check_trainable,
    explained,
    has_batch_norm,
)
from localbook.local.networks.dgl import dgl_head, with_dgl_heads
from localbook.local.networks.heads import (
    HEADS,
    Cost,
    FixedLinear,
    MeanToken,
    ToTokens,
    check_labels,
    cost,
    make_head,
)
from localbook.local.networks.isolated import ConvNet, IsolatedNetwork, linear_head
from localbook.local.networks.models import cifar_resnet, residual_stream, small_vit
from localbook.local.networks.replay import (
    RandomState,
    buffers_of,
    call_again,
    copied,
    evaluating,
    unchanged,
)
from localbook.local.networks.saved_tensors import SavedTensors
from localbook.local.networks.split import Split, cut_points, split

__all__ = [
    "BACKBONES",
    "HEADS",
    "Chain",
    "ConvNet",
    "Cost",
    "FixedLinear",
    "IsolatedNetwork",
    "MeanToken",
    "RandomState",
    "SavedTensors",
    "Split",
    "ToTokens",
    "add_heads",
    "airbench",
    "blocks",
    "buffers_of",
    "call_again",
    "check_batch_norm",
    "check_heads",
    "check_inputs",
    "check_labels",
    "check_trainable",
    "cifar_resnet",
    "copied",
    "cost",
    "cut_points",
    "dgl_head",
    "evaluating",
    "explained",
    "has_batch_norm",
    "in_blocks",
    "isolated",
    "isolated_airbench",
    "linear_head",
    "make_head",
    "residual_stream",
    "small_vit",
    "split",
    "unchanged",
    "with_auglocal_heads",
    "with_dgl_heads",
    "with_heads",
]
