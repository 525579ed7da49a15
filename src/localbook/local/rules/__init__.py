"""Learning rules: each fills ``.grad`` of a network's parameters for one batch.

Every rule is a small frozen dataclass with one method, ``gradients(net, x, y)``; the optimiser
step is the caller's. Rules that train modules by local losses take any :class:`LocalLoss`.
"""

from localbook.local.rules.base import Rule
from localbook.local.rules.bp import BP
from localbook.local.rules.checkpointed import CheckpointedBP
from localbook.local.rules.feedback import DirectFeedbackAlignment, FeedbackAlignment
from localbook.local.rules.greedy import Greedy
from localbook.local.rules.infopro import InfoPro
from localbook.local.rules.losses import CrossEntropy, LocalLoss, equip
from localbook.local.rules.plain import PlainLocal
from localbook.local.rules.predsim import PredSim
from localbook.local.rules.sgr import SGR

__all__ = [
    "BP",
    "SGR",
    "CheckpointedBP",
    "CrossEntropy",
    "DirectFeedbackAlignment",
    "FeedbackAlignment",
    "Greedy",
    "InfoPro",
    "LocalLoss",
    "PlainLocal",
    "PredSim",
    "Rule",
    "equip",
]
