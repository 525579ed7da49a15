"""Local learning: gradient-isolated modules, the rules that train them, and what to measure."""

from localbook.local.costs.account import Account, account
from localbook.local.costs.live import live_bytes
from localbook.local.costs.saved import SavedBytes, saved_bytes, saved_course
from localbook.local.diagnostics.alignment import Alignment, Telescope, alignment, telescope
from localbook.local.diagnostics.discord import Discord, accuracy, discord
from localbook.local.diagnostics.early_exit import EarlyExit, early_exit
from localbook.local.diagnostics.probes import activations, linear_probe
from localbook.local.diagnostics.similarity import Matching, linear_cka, match_neurons
from localbook.local.networks.airbench import airbench, isolated_airbench
from localbook.local.networks.heads import HEADS, add_heads, check_labels, cost, make_head
from localbook.local.networks.isolated import ConvNet, IsolatedNetwork, linear_head
from localbook.local.networks.models import cifar_resnet, small_vit
from localbook.local.networks.split import Split, cut_points, split
from localbook.local.reporting import figures, memory_used
from localbook.local.rules import (
    BP,
    SGR,
    BPFreeSGR,
    CheckpointedBP,
    CrossEntropy,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    ForwardForward,
    Greedy,
    InfoPro,
    LocalLoss,
    NoProp,
    PlainLocal,
    PredSim,
    Rule,
    dgl_head,
    equip,
    noprop_network,
    with_dgl_heads,
    with_length_norm,
)
from localbook.local.training.compute import Compute
from localbook.local.training.schedule import Schedule
from localbook.local.training.trainer import train

__all__ = [
    "BP",
    "HEADS",
    "SGR",
    "Account",
    "Alignment",
    "BPFreeSGR",
    "CheckpointedBP",
    "Compute",
    "ConvNet",
    "CrossEntropy",
    "DirectFeedbackAlignment",
    "Discord",
    "EarlyExit",
    "FeedbackAlignment",
    "ForwardForward",
    "Greedy",
    "InfoPro",
    "IsolatedNetwork",
    "LocalLoss",
    "Matching",
    "NoProp",
    "PlainLocal",
    "PredSim",
    "Rule",
    "SavedBytes",
    "Schedule",
    "Split",
    "Telescope",
    "account",
    "accuracy",
    "activations",
    "add_heads",
    "airbench",
    "alignment",
    "check_labels",
    "cifar_resnet",
    "cost",
    "cut_points",
    "dgl_head",
    "discord",
    "early_exit",
    "equip",
    "figures",
    "isolated_airbench",
    "linear_cka",
    "linear_head",
    "linear_probe",
    "live_bytes",
    "make_head",
    "match_neurons",
    "memory_used",
    "noprop_network",
    "saved_bytes",
    "saved_course",
    "small_vit",
    "split",
    "telescope",
    "train",
    "with_dgl_heads",
    "with_length_norm",
]
