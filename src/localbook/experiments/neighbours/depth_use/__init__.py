"""What depth is used for: sublayers that are dropped, and layers that are skipped one by one."""

from localbook.experiments.neighbours.depth_use import (
    depth_efficiency,
    depth_efficiency_smollm2,
    not_all_attention,
)

EXPERIMENTS = {
    "depth-efficiency": depth_efficiency.DEPTH_EFFICIENCY,
    "depth-efficiency-smollm2": depth_efficiency_smollm2.DEPTH_EFFICIENCY_SMOLLM2,
    "not-all-attention": not_all_attention.DIGITS,
    "not-all-attention-smollm2": not_all_attention.SMOLLM2,
}
