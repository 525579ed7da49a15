"""Forward passes that leave no trace: in eval mode, on a copy, or repeating one made before."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from localbook.fit import evaluating

AnyModule = TypeVar("AnyModule", bound=nn.Module)


@contextmanager
def unchanged(module: nn.Module, device: torch.device, *, training: bool = False) -> Iterator[None]:
    """Put a module in a mode inside the context; buffers and random state are as before after it.

    So can be measured what happens in training.
    """
    before = buffers_of(module)
    with evaluating(module, training=training), RandomState.now(device).again():
        try:
            yield
        finally:
            with torch.no_grad():
                for name, buffer in module.named_buffers():
                    buffer.copy_(before[name])


def copied(module: AnyModule) -> AnyModule:
    """Return a deep copy, also of what pruning and weight norm leave behind.

    They keep a weight that autograd computed, which ``copy.deepcopy`` refuses; the copy computes
    it anew in its next forward pass.
    """
    computed = {
        id(value): value.detach().clone()
        for part in module.modules()
        for value in tree_leaves(vars(part))
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(module, computed)


@dataclass(frozen=True)
class RandomState:
    """The random state of the CPU and of the GPU a pass runs on, to draw the same masks again."""

    device: torch.device
    cpu: Tensor
    cuda: Tensor | None  # unless the device is a GPU

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


def buffers_of(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of a module's buffers, from which a pass can be made again."""
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def call_again(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    buffers: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Run a module, with some parameters replaced, on copies of its buffers or of those given.

    So BatchNorm counts a batch only once, and a module that reads what it counts sees the same.
    """
    # Cloned here, inside whatever torch.func transform is at work: it refuses to see tensors from
    # outside changed in place.
    state = {n: b.clone() for n, b in (buffers or dict(module.named_buffers())).items()}
    out: Tensor = functional_call(module, {**parameters, **state}, (x,))
    return out
