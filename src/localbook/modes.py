"""The modes of modules: evaluation inside a context, and back."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*modules: nn.Module, training: bool = False) -> Iterator[None]:
    """Put modules in eval mode inside the context, and each submodule back in its own after it."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    for part, _ in modes:
        part.training = training
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
