"""What depth is used for: sublayers that are dropped, and layers that are skipped one by one."""

from localbook.experiments.neighbours.depth_use.depth_efficiency import DEPTH_EFFICIENCY
from localbook.experiments.neighbours.depth_use.depth_efficiency_smollm2 import (
    DEPTH_EFFICIENCY_SMOLLM2,
)
from localbook.experiments.neighbours.depth_use.not_all_attention import (
    DIGITS as NOT_ALL_ATTENTION,
)
from localbook.experiments.neighbours.depth_use.not_all_attention import (
    SMOLLM2 as NOT_ALL_ATTENTION_SMOLLM2,
)

__all__ = [
    "DEPTH_EFFICIENCY",
    "DEPTH_EFFICIENCY_SMOLLM2",
    "NOT_ALL_ATTENTION",
    "NOT_ALL_ATTENTION_SMOLLM2",
]
