"""What autocast does for PyTorch's operations, for those that replace them."""

import torch
from torch import Tensor


def lowered(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    """Return tensors in the precision of the autocast around, or as they are if there is none."""
    device = next(t.device.type for t in tensors if t is not None)
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(None if t is None else t.to(dtype) for t in tensors)
