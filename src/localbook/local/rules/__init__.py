"""Learning rules: each fills ``.grad`` of a network's parameters for one batch.

Every rule is a small frozen dataclass that inherits from :class:`Rule` and has one method,
``gradients(net, x, y)``; the optimiser step is the caller's. A :class:`LocalRule` has ``step``, for
one module at a time. Rules that train modules by local losses take any :class:`LocalLoss`.
"""

from localbook.local.rules.backprop import BP as BP
from localbook.local.rules.backprop import CheckpointedBP as CheckpointedBP
from localbook.local.rules.base import LocalRule as LocalRule
from localbook.local.rules.base import Rule as Rule
from localbook.local.rules.base import Signal as Signal
from localbook.local.rules.base import check_rule as check_rule
from localbook.local.rules.bp_free import BPFreeSGR as BPFreeSGR
from localbook.local.rules.feedback import DirectFeedbackAlignment as DirectFeedbackAlignment
from localbook.local.rules.feedback import FeedbackAlignment as FeedbackAlignment
from localbook.local.rules.forward_forward import ForwardForward as ForwardForward
from localbook.local.rules.forward_forward import with_length_norm as with_length_norm
from localbook.local.rules.greedy import Greedy as Greedy
from localbook.local.rules.infopro import InfoPro as InfoPro
from localbook.local.rules.losses import CrossEntropy as CrossEntropy
from localbook.local.rules.losses import LocalLoss as LocalLoss
from localbook.local.rules.losses import equip as equip
from localbook.local.rules.losses import module_loss as module_loss
from localbook.local.rules.noprop import NoProp as NoProp
from localbook.local.rules.noprop import NoPropBlock as NoPropBlock
from localbook.local.rules.noprop import noprop_network as noprop_network
from localbook.local.rules.noprop import noprop_posterior as noprop_posterior
from localbook.local.rules.plain import PlainLocal as PlainLocal
from localbook.local.rules.predsim import PredSim as PredSim
from localbook.local.rules.sgr import DISTANCES as DISTANCES
from localbook.local.rules.sgr import SGR as SGR
from localbook.local.rules.sid import SID as SID
from localbook.local.rules.targets import mixed as mixed
from localbook.local.rules.targets import smoothed as smoothed
