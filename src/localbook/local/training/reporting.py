"""What a progress display says of training."""

import sys

import torch

from localbook.arrays import Row


def figures(row: Row) -> str:
    """Return what a progress display says of an epoch.

    Parameters
    ----------
    row : dict
        What :func:`localbook.local.train` gives to ``on_epoch``.

    Returns
    -------
    str
        The last head's accuracy and the mean discord of the modules, as far as they were measured,
        speed and memory.
    """
    known = [value for value in row.get("discord", []) if value is not None]
    parts = [f"accuracy {row['accuracy'][-1]:.3f}"] if "accuracy" in row else []
    parts += [f"discord {sum(known) / len(known):.2f}"] if known else []
    parts.append(f"{row['images_per_s']:.0f} images/s")
    if row["memory_bytes"] is not None:
        parts.append(f"{row['memory_bytes'] / 2**30:.1f} GiB")
    return ", ".join(parts)


def memory_used(device: torch.device) -> int | None:
    """Return the most memory used so far, in bytes; None where the system does not say.

    On a GPU, what torch's allocator gave out since its peak was last reset; else, what the process
    held.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
