"""Learning rules: each fills ``.grad`` of a network's parameters for one batch.

Every rule is a small frozen dataclass with one method, ``gradients(net, x, y)``; the optimiser
step is the caller's.
"""

from localbook.local.rules.base import Rule
from localbook.local.rules.bp import BP
from localbook.local.rules.checkpointed import CheckpointedBP
from localbook.local.rules.plain import PlainLocal
from localbook.local.rules.sgr import SGR

__all__ = ["BP", "SGR", "CheckpointedBP", "PlainLocal", "Rule"]
