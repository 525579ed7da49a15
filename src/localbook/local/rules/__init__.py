"""Learning rules: each fills ``.grad`` of a network's parameters for one batch.

Every rule is a small frozen dataclass that inherits from :class:`Rule` and has one method,
``gradients(net, x, y)``; the optimiser step is the caller's. A :class:`LocalRule` has ``step``, for
one module at a time. Rules that train modules by local losses take any :class:`LocalLoss`.
"""

from localbook.local.networks import dgl_head, with_dgl_heads
from localbook.local.rules.backprop import BP, CheckpointedBP
from localbook.local.rules.base import LocalRule, Rule, Signal, check_rule
from localbook.local.rules.bp_free import BPFreeSGR
from localbook.local.rules.feedback import DirectFeedbackAlignment, FeedbackAlignment
from localbook.local.rules.forward_forward import ForwardForward, with_length_norm
from localbook.local.rules.greedy import Greedy
from localbook.local.rules.infopro import InfoPro
from localbook.local.rules.losses import CrossEntropy, EquippedHead, LocalLoss, equip, module_loss
from localbook.local.rules.noprop import NoProp, NoPropBlock, noprop_network, noprop_posterior
from localbook.local.rules.plain import PlainLocal
from localbook.local.rules.predsim import PredSim
from localbook.local.rules.sgr import DISTANCES, SGR
from localbook.local.rules.sid import SID
from localbook.local.rules.targets import mixed, smoothed

__all__ = [
    "BP",
    "DISTANCES",
    "SGR",
    "SID",
    "BPFreeSGR",
    "CheckpointedBP",
    "CrossEntropy",
    "DirectFeedbackAlignment",
    "EquippedHead",
    "FeedbackAlignment",
    "ForwardForward",
    "Greedy",
    "InfoPro",
    "LocalLoss",
    "LocalRule",
    "NoProp",
    "NoPropBlock",
    "PlainLocal",
    "PredSim",
    "Rule",
    "Signal",
    "check_rule",
    "dgl_head",
    "equip",
    "mixed",
    "module_loss",
    "noprop_network",
    "noprop_posterior",
    "smoothed",
    "with_dgl_heads",
    "with_length_norm",
]
