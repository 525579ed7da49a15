"""Mixed precision, where the device has it."""

import torch

from localbook.errors import ConfigError

_FIRST_WITH_BF16 = (8, 0)  # compute capability: Ampere; older ones only emulate it, slowly


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return the context in which a rule computes in ``dtype`` where that is safe.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype
        ``torch.bfloat16``; float16 would need its gradients scaled.

    Raises
    ------
    ConfigError
        If the device has no autocast, or not for this dtype.
    """
    if not torch.amp.is_autocast_available(device.type):
        raise ConfigError(f"the device '{device}' has no autocast; train in float32 instead.")
    if dtype != torch.bfloat16:
        raise ConfigError(f"autocast in {dtype} is not supported here; take torch.bfloat16.")
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _FIRST_WITH_BF16:
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"the GPU {name} has no bfloat16; train in float32 instead.")
    return torch.autocast(device.type, dtype)
