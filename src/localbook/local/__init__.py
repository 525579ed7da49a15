"""Local learning: gradient-isolated modules, the rules that train them, and what to measure."""

from localbook.local.diagnostics import Discord, accuracy, discord
from localbook.local.network import ConvNet, IsolatedNetwork, linear_head
from localbook.local.rules import BP, SGR, PlainLocal, Rule
from localbook.local.trainer import Schedule, train

__all__ = [
    "BP",
    "SGR",
    "ConvNet",
    "Discord",
    "IsolatedNetwork",
    "PlainLocal",
    "Rule",
    "Schedule",
    "accuracy",
    "discord",
    "linear_head",
    "train",
]
