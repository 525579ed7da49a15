"""Forward passes that leave no trace: in eval mode, or repeating one that was made before."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Put modules in eval mode inside the context, and each submodule back in its own after it."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@dataclass(frozen=True)
class RandomState:
    """The random state of the CPU and of the device a pass runs on, to draw the same masks again.

    Attributes
    ----------
    device : torch.device
    cpu : uint8 tensor
    cuda : uint8 tensor or None
        None unless ``device`` is a CUDA device.
    """

    device: torch.device
    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> "RandomState":
        """Return the present state."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(device, torch.get_rng_state(), cuda)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Go back to this state inside the context, and on leaving to the one before it."""
        with torch.random.fork_rng(devices=[] if self.cuda is None else [self.device]):
            torch.set_rng_state(self.cpu)
            if self.cuda is not None:
                torch.cuda.set_rng_state(self.cuda, self.device)
            yield


def call_again(module: nn.Module, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Run a module on copies of its buffers, so that BatchNorm counts the batch only once.

    Parameters
    ----------
    module : nn.Module
    parameters : mapping from names to tensors
        Used in place of the module's own; those not named stay.
    x : float tensor, shape (N, ...)
    """
    # Cloned here, inside whatever torch.func transform is at work: it refuses to see tensors from
    # outside changed in place.
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    out: Tensor = functional_call(module, {**parameters, **buffers}, (x,))
    return out
