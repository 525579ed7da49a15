"""Local learning: gradient-isolated modules, the rules that train them, and what to measure."""

from localbook.local.diagnostics import Discord, accuracy, discord
from localbook.local.heads import HEADS, add_heads, check_labels, cost, make_head
from localbook.local.memory import SavedBytes, saved_bytes
from localbook.local.models import cifar_resnet, small_vit
from localbook.local.network import ConvNet, IsolatedNetwork, linear_head
from localbook.local.rules import BP, SGR, CheckpointedBP, PlainLocal, Rule
from localbook.local.split import Split, cut_points, split
from localbook.local.trainer import Schedule, train

__all__ = [
    "BP",
    "HEADS",
    "SGR",
    "CheckpointedBP",
    "ConvNet",
    "Discord",
    "IsolatedNetwork",
    "PlainLocal",
    "Rule",
    "SavedBytes",
    "Schedule",
    "Split",
    "accuracy",
    "add_heads",
    "check_labels",
    "cifar_resnet",
    "cost",
    "cut_points",
    "discord",
    "linear_head",
    "make_head",
    "saved_bytes",
    "small_vit",
    "split",
    "train",
]
