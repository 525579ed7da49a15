"""Local learning: gradient-isolated modules, the rules that train them, and what to measure."""

from localbook.local.accounting import Account, account
from localbook.local.airbench import airbench, isolated_airbench
from localbook.local.compute import Compute
from localbook.local.diagnostics import Discord, accuracy, discord
from localbook.local.diagnostics_alignment import Alignment, Telescope, alignment, telescope
from localbook.local.diagnostics_exit import EarlyExit, early_exit
from localbook.local.diagnostics_probe import activations, linear_probe
from localbook.local.diagnostics_similarity import Matching, linear_cka, match_neurons
from localbook.local.heads import HEADS, add_heads, check_labels, cost, make_head
from localbook.local.live import live_bytes
from localbook.local.memory import SavedBytes, saved_bytes, saved_course
from localbook.local.models import cifar_resnet, small_vit
from localbook.local.network import ConvNet, IsolatedNetwork, linear_head
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
from localbook.local.schedule import Schedule
from localbook.local.split import Split, cut_points, split
from localbook.local.trainer import train

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
